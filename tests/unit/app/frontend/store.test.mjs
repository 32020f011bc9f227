import assert from 'node:assert/strict';
import test from 'node:test';

import { ApiError } from '../../../../include/app/frontend/site/assets/api.js';
import { endings, isMergeable, missingScans, nextInS, openMerges, partitionKey, totals } from '../../../../include/app/frontend/site/assets/model.js';
import { Store } from '../../../../include/app/frontend/site/assets/store.js';

const page = (items, following = null) => ({ value: { items, next_after: following } });
const scan = (id, status = 'success') => ({ id, cluster_id: 1, status, tables: 2, files: 10, small_files: 5 });
const table = (id, ratio) => ({ id, cluster_id: 1, ...(ratio === undefined ? {} : { small_file_ratio: ratio }) });

/** A store over an API of plain functions; each test replaces those it is about. */
function makeStore(changes = {}) {
  const api = {
    version: async () => ({ value: { version: '1.0.0', features: [], schema_head: '0005' } }),
    clusters: async () => page([{ id: 1, name: 'a', last_scan_task_id: 4 }]),
    tables: async () => page([table(1)]),
    tasks: async (kind) => page(kind === 'scan' ? [scan(4)] : []),
    scan: async (id) => ({ value: scan(id) }),
    ...changes,
  };
  return { store: new Store(() => api, () => 5000), api };
}

test('a round reads everything, and the newest scans once', async () => {
  const read = [];
  const { store } = makeStore({ scan: async (id) => (read.push(id), { value: scan(id) }) });
  assert.deepEqual(await store.round(new Map()), { answered: true, nextInS: 10, retryAfterS: 0 });
  await store.round(new Map());
  assert.deepEqual(read, [4]);
  assert.deepEqual(store.link, { state: 'well', failures: [], updatedAt: 5000 });
});

test('what fails keeps its last answer, and the rest goes on', async () => {
  const { store, api } = makeStore();
  await store.round(new Map());
  api.tables = async () => { throw new ApiError('HTTP 500', { status: 500 }); };
  api.clusters = async () => page([]);
  assert.equal((await store.round(new Map())).answered, true);
  assert.deepEqual([store.link.state, store.link.failures.map(({ name }) => name)], ['partly', ['tables']]);
  assert.deepEqual([store.tables, store.clusters], [[table(1)], []]);
});

test('when nothing answers all is kept, with the time it was read', async () => {
  const { store, api } = makeStore();
  await store.round(new Map());
  const away = async () => { throw new ApiError('HTTP 503', { status: 503, retryAfterS: 9 }); };
  for (const name of ['version', 'clusters', 'tables', 'tasks', 'scan']) api[name] = away;
  const outcome = await store.round(new Map());
  assert.deepEqual([outcome.answered, outcome.retryAfterS], [false, 9]);
  assert.deepEqual([store.link.state, store.link.updatedAt, store.tables], ['away', 5000, [table(1)]]);
});

test('an answer about another cluster than the one looked at now is not shown', async () => {
  let answer;
  const { store, api } = makeStore({ tables: () => new Promise((done) => (answer = done)) });
  const round = store.round(new Map());
  store.chooseCluster(2);
  answer(page([table(1)]));
  await round;
  assert.equal(store.tables, null);
  api.tables = async (question) => (assert.equal(question.cluster_id, 2), page([table(9)]));
  await store.round(new Map());
  assert.deepEqual(store.tables, [table(9)]);
});

test('a version that does not know the order by share still shows its tables, sorted by what is known', async () => {
  const rated = [table(1, 0.1), table(2, 0.9)];
  const { store, api } = makeStore({ tables: async () => page(rated) });
  store.order = 'ratio';
  await store.round(new Map());
  api.tables = async ({ order }) => {
    if (order === 'ratio') throw new ApiError('order=ratio is not known to version 0.9.0', { status: 422 });
    return page([table(1), table(2)]);
  };
  await store.round(new Map());
  assert.deepEqual([store.link.state, store.tables.map(({ id }) => id), store.order], ['well', [2, 1], 'ratio']);
  for (let n = 0; n < 4; n += 1) await store.round(new Map());
  assert.deepEqual([store.isRated, store.order], [false, 'small_files']);
});

test('details that fail keep what was read, and closed rows are forgotten', async () => {
  const { store } = makeStore();
  await store.readDetail('x', async () => ({ value: ['line'] }));
  await store.readDetail('x', async () => { throw new ApiError('HTTP 500'); });
  await store.readDetail('y', async () => { throw new ApiError('HTTP 404'); });
  assert.deepEqual([...store.details], [['x', { rows: ['line'] }], ['y', { failure: 'HTTP 404' }]]);
  await store.round(new Map([['y', async () => ({ value: [] })]]));
  assert.deepEqual([...store.details], [['y', { rows: [] }]]);
});

test('more rows are asked for up to the limit of the API', async () => {
  const { store, api } = makeStore();
  let asked;
  api.tables = async ({ limit }) => ((asked = limit), page([], 25));
  await store.round(new Map());
  assert.deepEqual([asked, store.more.tables], [25, true]);
  for (let n = 0; n < 5; n += 1) store.showMore('tables');
  await store.round(new Map());
  assert.deepEqual([asked, store.more.tables], [500, false]);
});

test('only what ended while the page looked is news', () => {
  assert.deepEqual(endings(null, [scan(1)]), []);
  assert.deepEqual(endings([scan(1, 'running'), scan(2)], [scan(3), scan(2), scan(1, 'failed')]), [scan(1, 'failed')]);
});

test('open work is looked at more often', () => {
  assert.equal(nextInS([scan(1)], []), 10);
  assert.equal(nextInS([], [scan(1, 'pending')]), 2);
});

test('sums count the scanned clusters only', () => {
  const clusters = [{ last_scan_task_id: 1 }, { last_scan_task_id: null }, { last_scan_task_id: 9 }];
  const known = new Map([[1, scan(1)]]);
  assert.deepEqual(totals(clusters, known), { tables: 2, files: 10, smallFiles: 5, scanned: 1 });
  assert.deepEqual(missingScans(clusters, known), [9]);
});

test('a merge blocks its own partition and no other', () => {
  const place = { cluster_id: 1, database_name: 'a', table_name: 'b' };
  const open = openMerges([{ ...place, partition: 'x=1', status: 'running' }, { ...place, partition: 'x=2', status: 'success' }]);
  assert.deepEqual(['x=1', 'x=2', ''].map((partition) => open.has(partitionKey(place, partition))), [true, false, false]);
  assert.deepEqual([1, 2].map((small) => isMergeable({ small_files: small })), [false, true]);
});
