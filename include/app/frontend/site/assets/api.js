// Talks to /api/v1 of the same origin. Every answer is a value or an ApiError that says what to tell the user.

const PREFIX = '/api/v1';
const TIMEOUT_MS = 10_000;
const VERSION_HEADER = 'X-App-Version';

/** What went wrong with one request; `message` is a sentence for the user. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, retryAfterS?: number, version?: string|null}} [facts]
   *   status is 0 when no answer came at all.
   */
  constructor(message, { status = 0, retryAfterS = 0, version = null } = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.retryAfterS = retryAfterS;
    this.version = version;
  }
}

/**
 * Make the client.
 * @param {typeof fetch} send
 * @param {(version: string) => void} noteVersion called with the version that gave each answer, good or bad.
 */
export function makeApi(send, noteVersion) {
  /** One request; gives the parsed body and the version that answered. */
  async function ask(path, { method = 'GET', body, signal } = {}) {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const options = {
      method,
      headers: { Accept: 'application/json' },
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    };
    if (body !== undefined) {
      options.headers['Content-Type'] = 'application/json';
      options.body = JSON.stringify(body);
    }
    let answer;
    try {
      answer = await send(PREFIX + path, options);
    } catch (error) {
      if (signal?.aborted) throw error;
      const late = error.name === 'TimeoutError';
      throw new ApiError(late ? `no answer within ${TIMEOUT_MS / 1000} s` : 'no connection to the API');
    }
    const version = answer.headers.get(VERSION_HEADER);
    if (version) noteVersion(version);
    const value = await parse(answer);
    if (!answer.ok || value === undefined) {
      const retryAfterS = Number(answer.headers.get('Retry-After')) || 0;
      throw new ApiError(sentenceOf(answer.status, value), { status: answer.status, retryAfterS, version });
    }
    return { value, version };
  }

  return {
    version: (signal) => ask('/version', { signal }),
    clusters: (signal) => ask('/clusters?limit=500', { signal }),
    tables: (question, signal) => ask(`/tables${query(question)}`, { signal }),
    partitions: (tableId, signal) => ask(`/tables/${tableId}/partitions?limit=200`, { signal }),
    tasks: (kind, question, signal) => ask(`/${kind}-tasks${query(question)}`, { signal }),
    scan: (id, signal) => ask(`/scan-tasks/${id}`, { signal }),
    log: (kind, id, signal) => ask(`/${kind}-tasks/${id}/log`, { signal }),
    addCluster: (body) => ask('/clusters', { method: 'POST', body }),
    startScan: (clusterId) => ask('/scan-tasks', { method: 'POST', body: { cluster_id: clusterId } }),
    startMerge: (body) => ask('/merge-tasks', { method: 'POST', body }),
  };
}

/** Write a query without what is null. */
export function query(question) {
  const given = Object.entries(question).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : '';
}

async function parse(answer) {
  try {
    return await answer.json();
  } catch {
    return undefined; // a router's own error page, or an answer that was cut off
  }
}

/** Say what an error's body means: a sentence of ours, FastAPI's list of findings, or nothing of use. */
export function sentenceOf(status, body) {
  const detail = body?.detail;
  if (typeof detail === 'string' && detail) return detail;
  if (Array.isArray(detail) && detail.length) {
    return detail.map(({ loc = [], msg = 'not accepted' }) => [loc.at(-1), msg].filter(Boolean).join(': ')).join('; ');
  }
  if (status >= 200 && status < 300) return `an answer that is not JSON (HTTP ${status})`;
  return `HTTP ${status}`;
}
