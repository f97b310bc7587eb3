package host

import "net/http"

// predictionJSON is the JSON of a prediction.
type predictionJSON struct {
	Mode   string       `json:"mode"`
	Passes int          `json:"passes"`
	Top    []ClassScore `json:"top"`
	Digest string       `json:"digest"`
}

func newPredictionJSON(p *Prediction) predictionJSON {
	return predictionJSON{p.Mode.String(), p.Passes, p.Top, p.Digest()}
}

// failJSON answers a request that failed in this interface's own form.
func failJSON(q *request, err error) int { return q.s.fail(q.w, err) }

// classifyEndpoint is POST /v1/classify: one image.
var classifyEndpoint = endpoint{
	read: func(q *request) (*job, error) {
		j, err := q.query()
		if err != nil {
			return nil, err
		}
		return j, q.files(j, 1, true)
	},
	send: func(q *request, _ *job, results []result) int {
		if err := results[0].err; err != nil {
			return q.s.fail(q.w, err)
		}
		return q.s.sendJSON(q.w, http.StatusOK, newPredictionJSON(results[0].prediction))
	},
	fail: failJSON,
}

// batchEndpoint is POST /v1/batch: several images. Those that cannot be classified have
// their errors in the answer, in their places.
var batchEndpoint = endpoint{
	read: func(q *request) (*job, error) {
		j, err := q.query()
		if err != nil {
			return nil, err
		}
		return j, q.files(j, q.s.config.maxBatch, false)
	},
	send: func(q *request, _ *job, results []result) int {
		list := make([]any, len(results))
		for i, r := range results {
			if r.err != nil {
				list[i] = map[string]any{"error": q.s.explain(r.err).detail()}
				continue
			}
			list[i] = newPredictionJSON(r.prediction)
		}
		return q.s.sendJSON(q.w, http.StatusOK, map[string]any{"predictions": list})
	},
	fail: failJSON,
}
