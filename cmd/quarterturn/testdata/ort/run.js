// Runs ONNX models: reads a list of jobs as JSON from standard input,
//   [{ "model": file, "input": name, "type": "float32" | "uint8", "dims": [..], "data": file }]
// and writes a list of their outputs, { name: { dims, data } }.
import { readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';

const jobs = JSON.parse(readFileSync(0, 'utf8'));
const results = [];
for (const job of jobs) {
  const session = await ort.InferenceSession.create(job.model, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const bytes = readFileSync(job.data);
  const data = job.type === 'uint8' ? new Uint8Array(bytes) : new Float32Array(new Uint8Array(bytes).buffer);
  const outputs = await session.run({ [job.input]: new ort.Tensor(job.type, data, job.dims) });
  const result = {};
  for (const [name, tensor] of Object.entries(outputs)) {
    result[name] = { dims: tensor.dims, data: Array.from(tensor.data, Number) };
  }
  results.push(result);
}
process.stdout.write(JSON.stringify(results));
