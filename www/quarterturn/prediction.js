// What an answer is.

/** Below this calibrated probability an answer is about as likely wrong as right. */
export const LIKELY = 0.6;

/** The classes of an answer, best first: of equal logits, the first; NaN last. */
function top(labels, { logits, probabilities }, topK) {
  const order = (x, y) => (Number.isNaN(x) ? 1 : 0) - (Number.isNaN(y) ? 1 : 0) || y - x;
  return Array.from(logits, (logit, index) => ({ logit, index }))
    .sort((a, b) => order(a.logit, b.logit) || a.index - b.index)
    .slice(0, topK)
    .map(({ index }) => ({ label: labels[index], index, probability: probabilities[index] }));
}

/** What a call for an answer returns, with its time and the foremost labels. */
export async function prediction(labels, topK, call) {
  const start = performance.now();
  const result = await call();
  const ms = performance.now() - start;
  return { top: top(labels, result, topK), ...result, ms };
}
