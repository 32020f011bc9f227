// Puts the page together: what the user does, what the API answers, and when to ask again.

import { makeApi } from './api.js';
import { update } from './dom.js';
import { bytes, counted } from './format.js';
import { openMerges, openScans } from './model.js';
import { Poller } from './poller.js';
import { Store } from './store.js';
import * as view from './view.js';

const TICK_MS = 1000;
const NEWS_MS = 8000;

const at = (id) => document.getElementById(id);
const pageVersion = document.querySelector('meta[name="page-version"]').content;
const opened = new Map(); // rows that show their details: key -> question

const store = new Store((noteVersion) => makeApi(fetch.bind(window), noteVersion), Date.now);
const poller = new Poller(
  async () => {
    const outcome = await store.round(questions());
    for (const [kind, task] of store.endings) say(...ending(kind, task));
    render();
    return outcome;
  },
  { now: Date.now, set: setTimeout.bind(window), clear: clearTimeout.bind(window), chance: Math.random },
);

/** What the opened rows ask; a table's id changes with each scan, so it is looked up by name. */
function questions() {
  const asked = new Map();
  const tables = new Map((store.tables ?? []).map((table) => [view.tableKey(table), table]));
  for (const [key, { kind, id }] of opened) {
    if (kind === 'table') {
      const table = tables.get(key);
      if (table) asked.set(key, () => store.api.partitions(table.id));
    } else asked.set(key, () => store.api.log(kind, id));
  }
  return asked;
}

function render() {
  const now = Date.now();
  const scans = store.tasks.scan ?? [];
  const merging = openMerges(store.tasks.merge ?? []);
  update(at('versions'), view.versionPills(store));
  update(at('link'), view.linkState(store));
  update(at('figures'), view.figures(store));
  update(at('clusters-body'), view.clusterList(store, openScans(scans), now));
  choose(at('cluster-filter'), view.clusterOptions(store));
  choose(at('table-order'), view.orderOptions(store));
  list('tables', store.tables, () => {
    const rows = view.tableRows(store, opened, merging, now);
    return view.grid('Tables with their small files', view.tableColumns(store), rows);
  });
  for (const kind of ['scan', 'merge']) list(kind, store.tasks[kind], () => view.taskTable(kind, store, opened, now));
  update(at('footnote'), view.footnote(store, pageVersion));
  renderBanner();
}

function list(name, rows, table) {
  update(at(`${name}-body`), view.placeholder(name, store, rows) ?? table());
  at(`${name}-more`).hidden = !rows || !store.more[name];
}

/** Options of a select, whose choice is a property and no attribute. */
function choose(select, options) {
  const value = options.find((option) => option.selected)?.value;
  update(select, options);
  if (value !== undefined && select.value !== value) select.value = value;
}

function renderBanner() {
  update(at('banner'), view.banner(store, poller.nextAt, Date.now()));
}

/** Tell the user something, for the eye and for a screen reader. */
function say(text, kind = 'good') {
  const item = document.createElement('p');
  item.className = `news news-${kind}`;
  item.textContent = text;
  at('news').append(item);
  setTimeout(() => item.remove(), NEWS_MS);
}

function ending(kind, task) {
  const name = `${kind === 'scan' ? 'Scan' : 'Merge'} ${task.id}`;
  if (task.status !== 'success') return [`${name}: ${task.status}${task.error ? `: ${task.error}` : ''}`, 'poor'];
  if (kind === 'scan') return [`${name} is done: ${counted(task.small_files, 'small file')} in ${counted(task.tables, 'table')}.`];
  if (!task.files_before) return [`${name} is done: nothing to merge.`];
  return [`${name} is done: ${counted(task.files_before, 'file')} became ${task.files_after} (${bytes(task.bytes_after)}).`];
}

/** Send something once, with its button out of use meanwhile; says what went wrong where `onFailure` wants it. */
async function send(button, ask, onFailure) {
  if (button.getAttribute('aria-disabled') === 'true') return null;
  button.setAttribute('aria-disabled', 'true');
  try {
    return (await ask()).value;
  } catch (error) {
    onFailure(error.message);
    return null;
  } finally {
    button.removeAttribute('aria-disabled');
    poller.poke();
  }
}

const actions = {
  retry: () => poller.poke(),
  register: () => openDialog('register'),
  close: (button) => button.closest('dialog').close(),
  more: (button) => {
    store.showMore(button.dataset.list);
    poller.poke();
  },
  scan: async (button) => {
    const id = Number(button.dataset.id);
    const task = await send(button, () => store.api.startScan(id), (text) => say(`The scan was not started: ${text}`, 'poor'));
    if (task) say(`Scan ${task.id} is asked for.`);
  },
  merge: (button) => {
    const table = store.tables.find(({ id }) => id === Number(button.dataset.id));
    const partition = store.details.get(view.tableKey(table)).rows.find((row) => row.partition === button.dataset.partition);
    const { cluster_id, database_name, table_name } = table;
    proposal = { cluster_id, database_name, table_name, partition: partition.partition };
    at('merge-what').textContent = `${database_name}.${table_name}${partition.partition ? ` / ${partition.partition}` : ''}`;
    at('merge-size').textContent = `${counted(partition.small_files, 'small file')}, ${bytes(partition.small_bytes)} together`;
    openDialog('merge');
  },
  'open-table': (button) => {
    const table = store.tables.find(({ id }) => id === Number(button.dataset.id));
    toggle(view.tableKey(table), { kind: 'table' });
  },
  'open-task': (button) => {
    const { kind, id } = button.dataset;
    toggle(`${kind}-${id}`, { kind, id: Number(id) });
  },
};

let proposal = null; // the merge that the dialog asks about

async function toggle(key, what) {
  if (opened.delete(key)) {
    render();
    return;
  }
  opened.set(key, what);
  render();
  const ask = questions().get(key);
  if (ask) await store.readDetail(key, ask);
  render();
}

function openDialog(name) {
  const dialog = at(`${name}-dialog`);
  dialog.querySelector('.form-error').textContent = '';
  dialog.showModal();
}

function onSubmit(name, ask, done) {
  at(`${name}-form`).addEventListener('submit', async (event) => {
    event.preventDefault();
    const error = event.target.querySelector('.form-error');
    error.textContent = '';
    const value = await send(event.submitter ?? event.target, () => ask(new FormData(event.target)), (text) => (error.textContent = text));
    if (!value) return;
    at(`${name}-dialog`).close();
    event.target.reset();
    done(value);
  });
}

onSubmit(
  'register',
  (form) => store.api.addCluster({ name: form.get('name').trim(), root_url: form.get('root_url').trim() }),
  (cluster) => say(`${cluster.name} is registered. Scan it to find its small files.`),
);
onSubmit(
  'merge',
  () => store.api.startMerge(proposal),
  (task) => say(`Merge ${task.id} is asked for.`),
);

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-action]');
  if (button && button.getAttribute('aria-disabled') !== 'true') actions[button.dataset.action](button);
});
at('cluster-filter').addEventListener('change', ({ target }) => {
  store.chooseCluster(target.value ? Number(target.value) : null);
  opened.clear();
  render();
  poller.poke();
});
at('table-order').addEventListener('change', ({ target }) => {
  store.order = target.value;
  poller.poke();
});
document.addEventListener('visibilitychange', () => (document.hidden ? poller.pause() : poller.resume()));
setInterval(() => {
  if (!document.hidden) renderBanner();
}, TICK_MS);

render();
if (!document.hidden) poller.poke();
