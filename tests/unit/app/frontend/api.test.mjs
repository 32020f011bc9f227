import assert from 'node:assert/strict';
import test from 'node:test';

import { makeApi, query, sentenceOf } from '../../../../include/app/frontend/site/assets/api.js';

/** A client whose every request gets one answer; `asked` keeps what was sent. */
function client(answer) {
  const asked = [];
  const versions = [];
  const send = async (url, options) => {
    asked.push([options.method, url, options.body]);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { api: makeApi(send, (version) => versions.push(version)), asked, versions };
}

const json = (status, body, headers = {}) => new Response(JSON.stringify(body), { status, headers });

test('an answer comes with the version that gave it', async () => {
  const { api, asked, versions } = client(json(200, { items: [] }, { 'X-App-Version': '0.9.0' }));
  assert.deepEqual(await api.tables({ cluster_id: null, order: 'name', limit: 5 }), { value: { items: [] }, version: '0.9.0' });
  assert.deepEqual(asked, [['GET', '/api/v1/tables?order=name&limit=5', undefined]]);
  assert.deepEqual(versions, ['0.9.0']);
});

test('an order is sent as JSON', async () => {
  const { api, asked } = client(json(202, { id: 1 }));
  await api.startScan(7);
  assert.deepEqual(asked, [['POST', '/api/v1/scan-tasks', '{"cluster_id":7}']]);
});

test('a refusal says what the API said, and the version of a bad answer counts too', async () => {
  const { api, versions } = client(json(503, { detail: 'the database does not answer, try again' }, { 'Retry-After': '2', 'X-App-Version': '1.0.0' }));
  await assert.rejects(api.version(), (error) => {
    assert.deepEqual([error.message, error.status, error.retryAfterS], ['the database does not answer, try again', 503, 2]);
    return true;
  });
  assert.deepEqual(versions, ['1.0.0']);
});

test("a router's own page is an error, with status 502 and with status 200", async () => {
  for (const [status, text] of [[502, 'HTTP 502'], [200, 'an answer that is not JSON (HTTP 200)']]) {
    const { api, versions } = client(new Response('<h1>Bad Gateway</h1>', { status }));
    await assert.rejects(api.clusters(), { name: 'ApiError', message: text, status });
    assert.deepEqual(versions, []);
  }
});

test('no connection and no answer in time are told apart', async () => {
  await assert.rejects(client(new TypeError('Failed to fetch')).api.version(), { message: 'no connection to the API', status: 0 });
  const late = new DOMException('late', 'TimeoutError');
  await assert.rejects(client(late).api.version(), { message: 'no answer within 10 s', status: 0 });
});

test('findings of the validation become one sentence', () => {
  const detail = [{ loc: ['body', 'name'], msg: 'String should match pattern' }, { msg: 'Field required' }];
  assert.equal(sentenceOf(422, { detail }), 'name: String should match pattern; Field required');
  assert.equal(sentenceOf(500, { detail: {} }), 'HTTP 500');
});

test('an empty question has no mark', () => {
  assert.equal(query({ cluster_id: null }), '');
  assert.equal(query({ cluster_id: 3 }), '?cluster_id=3');
});
