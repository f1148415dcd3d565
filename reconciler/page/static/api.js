// Reads JSON from the reconciler. An answer that has not changed is not sent again.

const TIMEOUT_MILLISECONDS = 10_000;
const MOST_ANSWERS = 20;

// The reconciler refused a request, or its answer is not what it should be.
export class AnswerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const answers = new Map(); // by URL: the tag and the last answer

// Return the answer to GET `path`. Rejects with AnswerError for an error of the reconciler, and
// with another error if there is no answer.
export async function get(path, parameters = {}) {
  const url = withParameters(path, parameters);
  const known = answers.get(url);
  const answer = await fetch(url, {
    headers: known ? { "If-None-Match": known.tag } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
  });
  if (answer.status === 304) return known.value;
  const value = await answer.json();
  if (!answer.ok) throw new AnswerError(answer.status, value.error);
  remember(url, answer.headers.get("ETag"), value);
  return value;
}

function remember(url, tag, value) {
  answers.delete(url);
  if (!tag) return;
  answers.set(url, { tag, value });
  if (answers.size > MOST_ANSWERS) answers.delete(answers.keys().next().value);
}

function withParameters(path, parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value);
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}
