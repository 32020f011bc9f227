// From what the store knows to elements. Nothing here asks or changes anything.

import { h, icon } from './dom.js';
import { ago, bytes, count, counted, duration, percent, severity } from './format.js';
import { isMergeable, isOpen, partitionKey, shareOf, totals, WHOLE_TABLE, workedMs } from './model.js';

const STATES = {
  pending: ['Waiting', 'clock'],
  running: ['Running', 'turn'],
  success: ['Done', 'check'],
  failed: ['Failed', 'cross'],
  cancelled: ['Cancelled', 'minus'],
};

/** Which version answered; more than one while a canary runs. */
export function versionPills({ versions }) {
  if (versions.latest === null) return [h('span', { class: 'pill' }, 'API –')];
  const shares = versions.shares;
  if (shares.length === 1) return [h('span', { class: 'pill', title: 'the version that answers' }, `API ${versions.latest}`)];
  return shares.map(({ version, answers }) => {
    const isLatest = version === versions.latest;
    const title = `${answers} of the last ${versions.size} answers${isLatest ? ', the last one among them' : ''}`;
    return h(
      'span',
      { class: isLatest ? 'pill pill-latest' : 'pill', title, 'data-key': version },
      `API ${version}`,
      h('b', { 'aria-hidden': 'true' }, percent(answers / versions.size)),
      h('span', { class: 'sr' }, `, ${title}`),
    );
  });
}

/** Whether the API answers, in a word or two. */
export function linkState({ link }) {
  const [kind, text] = {
    starting: ['idle', 'Connecting'],
    well: ['good', 'Up to date'],
    partly: ['fair', 'Some answers are missing'],
    away: ['poor', 'API is away'],
  }[link.state];
  return [h('span', { class: `dot dot-${kind}` }), text];
}

/** What is wrong with the API, null when nothing is. The countdown is left to the eye: nobody wants to hear it. */
export function banner({ link }, nextAt, now) {
  if (link.state === 'well' || link.state === 'starting') return null;
  const reasons = [...new Set(link.failures.map(({ reason }) => reason.message))].join('; ');
  const of = link.updatedAt === null ? 'Nothing was read yet.' : `What you see is of ${clock(link.updatedAt)}.`;
  const names = [...new Set(link.failures.map(({ name }) => name))].join(', ');
  const title = link.state === 'away' ? 'The API does not answer' : `No answer for: ${names}`;
  const waits = nextAt === null ? 'Trying…' : `Next try in ${Math.max(0, Math.ceil((nextAt - now) / 1000))} s.`;
  return h(
    'div',
    { class: link.state === 'away' ? 'banner banner-poor' : 'banner banner-fair' },
    icon('warning'),
    h(
      'div',
      null,
      h('strong', null, title),
      h('span', null, `${sentence(reasons)} ${link.state === 'away' ? of : 'Those lists show what was read last.'} `),
      h('span', { 'aria-hidden': 'true' }, waits),
    ),
    h('button', { type: 'button', class: 'button button-quiet', 'data-action': 'retry' }, 'Try now'),
  );
}

/** The four figures on top. */
export function figures({ clusters, lastScans, tasks }) {
  const sum = totals(clusters ?? [], lastScans);
  const share = shareOf(sum.smallFiles, sum.files);
  const open = (kind) => (tasks[kind] ?? []).filter(isOpen).length;
  const [scans, merges] = [open('scan'), open('merge')];
  return [
    figure('Small files', sum.scanned ? count(sum.smallFiles) : '–', [
      sum.scanned ? `${percent(share)} of ${counted(sum.files, 'file')}` : 'no scan yet',
    ], share),
    figure('Tables', sum.scanned ? count(sum.tables) : '–', [sum.scanned ? 'found by the newest scans' : 'no scan yet']),
    figure('Clusters', clusters ? count(clusters.length) : '–', [clusters ? `${sum.scanned} of them scanned` : 'not read yet']),
    figure('At work', tasks.scan && tasks.merge ? count(scans + merges) : '–', [
      scans + merges ? `${counted(scans, 'scan')}, ${counted(merges, 'merge')}` : 'nothing is under way',
    ]),
  ];
}

function figure(name, value, notes, share = null) {
  return h(
    'div',
    { class: 'figure', 'data-key': name },
    h('dt', null, name),
    h('dd', null, h('span', { class: 'figure-value' }, value), h('span', { class: 'note' }, notes)),
    share === null ? null : h('dd', { class: 'figure-bar' }, bar(share)),
  );
}

function bar(share) {
  return h('span', { class: `bar bar-${share > 0 ? severity(share) : 'none'}`, vars: { '--share': String(share) }, 'aria-hidden': 'true' });
}

/** The choices of the cluster filter. */
export function clusterOptions({ clusters, clusterId }) {
  const one = (cluster) => h('option', { value: cluster.id, selected: cluster.id === clusterId }, cluster.name);
  return [h('option', { value: '', selected: clusterId === null }, 'All clusters'), ...(clusters ?? []).map(one)];
}

/** The choices of the tables' order; by share where a version offers it. */
export function orderOptions({ order, isRated }) {
  const names = { small_files: 'Most small files', ...(isRated ? { ratio: 'Highest share' } : {}), name: 'Name' };
  return Object.entries(names).map(([value, text]) => h('option', { value, selected: value === order }, text));
}

/** The list of clusters, or what stands in its place. */
export function clusterList(store, scanning, now) {
  if (store.clusters === null) return [waiting(store)];
  if (!store.clusters.length) {
    return [
      empty('cluster', 'No cluster yet', 'Register a Hive warehouse, then scan it for small files.',
        h('button', { type: 'button', class: 'button', 'data-action': 'register' }, 'Register a cluster')),
    ];
  }
  return [h('ul', { class: 'clusters', 'data-key': 'list' }, store.clusters.map((cluster) => oneCluster(cluster, store, scanning, now)))];
}

function oneCluster(cluster, { lastScans }, scanning, now) {
  const scan = lastScans.get(cluster.last_scan_task_id);
  const share = scan ? shareOf(scan.small_files, scan.files) : null;
  const busy = scanning.has(cluster.id);
  let found = 'never scanned';
  if (scan) found = `${percent(share)} small of ${counted(scan.files, 'file')} · ${ago(Date.parse(scan.finished_at), now)}`;
  else if (cluster.last_scan_task_id !== null) found = 'scanned';
  return h(
    'li',
    { 'data-key': `cluster-${cluster.id}` },
    h('div', { class: 'cluster-name' }, h('strong', null, cluster.name), h('code', { title: cluster.root_url }, cluster.root_url)),
    h(
      'button',
      { type: 'button', class: 'button button-quiet', 'data-action': 'scan', 'data-id': cluster.id, 'aria-disabled': busy ? 'true' : null },
      icon(busy ? 'turn' : 'scan'),
      busy ? 'Scanning' : 'Scan',
      h('span', { class: 'sr' }, ` ${cluster.name}`),
    ),
    h('div', { class: 'cluster-found' }, h('span', { class: 'note' }, found), share === null ? null : bar(share)),
  );
}

/** The rows of the table of tables, each with its opened partitions. */
export function tableRows(store, opened, merging, now) {
  const columns = tableColumns(store);
  return store.tables.flatMap((table) => {
    const key = tableKey(table);
    const open = opened.has(key);
    const row = h(
      'tr',
      { role: 'row', 'data-key': key, class: open ? 'opened' : null },
      columns.map((column) => tableCell(column, column.cell(table, open))),
    );
    if (!open) return [row];
    const detail = partitions(store, table, store.details.get(key), merging, now);
    return [row, h('tr', { role: 'row', class: 'detail', 'data-key': `${key}/detail` }, h('td', { role: 'cell', colspan: columns.length }, detail))];
  });
}

/** The key of a table's row; its id changes with each scan. */
export function tableKey(table) {
  return `table-${partitionKey(table, WHOLE_TABLE)}`;
}

/** The columns that the versions which answer can fill. */
export function tableColumns({ isRated, clusters, clusterId }) {
  const nameOf = namer(clusters);
  const columns = [{ name: 'Table', cell: tableName, style: 'main wide' }];
  if (clusterId === null && (clusters?.length ?? 0) > 1) columns.push({ name: 'Cluster', cell: (table) => nameOf(table.cluster_id) });
  columns.push(
    { name: 'Small files', cell: (table) => [h('b', null, count(table.small_files)), h('span', { class: 'note' }, ` of ${count(table.total_files)}`)], style: 'number' },
  );
  if (isRated) columns.push({ name: 'Share', cell: shareCell, style: 'share' }, { name: 'Mean file', cell: (table) => bytes(table.avg_file_bytes), style: 'number' });
  columns.push({ name: 'Size', cell: (table) => bytes(table.total_bytes), style: 'number' });
  return columns;
}

function tableName(table, open) {
  const action = { type: 'button', class: 'opener', 'data-action': 'open-table', 'data-id': table.id, 'aria-expanded': open ? 'true' : 'false' };
  return h('button', action, icon('open'), h('span', null, h('span', { class: 'note' }, `${table.database_name}.`), table.table_name), h('span', { class: 'sr' }, ' partitions'));
}

function shareCell({ small_file_ratio: share }) {
  if (share === null || share === undefined) return h('span', { class: 'note' }, '–');
  return [bar(share), h('span', { class: 'share-value' }, percent(share))];
}

function partitions(store, table, detail, merging) {
  if (detail?.failure) return h('p', { class: 'note' }, `The partitions could not be read: ${detail.failure}`);
  if (!detail) return h('p', { class: 'note' }, 'Reading the partitions…');
  if (!detail.rows.length) return h('p', { class: 'note' }, 'No partition of this table holds small files.');
  const names = ['Partition', 'Small files', 'Their size', 'Merge'];
  const row = (partition) => {
    const task = merging.get(partitionKey(table, partition.partition));
    const facts = { 'data-partition': partition.partition, 'data-id': table.id };
    let action = h('button', { type: 'button', class: 'button button-quiet', 'data-action': 'merge', ...facts }, icon('merge'), 'Merge', h('span', { class: 'sr' }, ` ${partition.partition || 'the whole table'}`));
    if (task) action = state(task);
    else if (!isMergeable(partition)) action = h('span', { class: 'note', title: 'a merge needs two small files or more' }, 'nothing to merge');
    return h(
      'tr',
      { role: 'row', 'data-key': `partition-${partition.partition}` },
      h('td', { role: 'cell', 'data-name': names[0], class: 'main' }, partition.partition ? h('code', null, partition.partition) : 'the whole table'),
      h('td', { role: 'cell', 'data-name': names[1], class: 'number' }, h('b', null, count(partition.small_files)), h('span', { class: 'note' }, ` of ${count(partition.total_files)}`)),
      h('td', { role: 'cell', 'data-name': names[2], class: 'number' }, bytes(partition.small_bytes)),
      h('td', { role: 'cell', 'data-name': names[3], class: 'action' }, action),
    );
  };
  return grid(`Partitions of ${table.database_name}.${table.table_name} with small files`, names.map((name, at) => ({ name, style: ['main', 'number', 'number', 'action'][at] })), detail.rows.map(row), 'grid-inner');
}

/** A table of scans or merges, each with its opened log. */
export function taskTable(kind, store, opened, now) {
  const nameOf = namer(store.clusters);
  const columns = taskColumns(kind, nameOf, opened, now);
  const rows = store.tasks[kind].flatMap((task) => {
    const key = taskKey(kind, task);
    const row = h(
      'tr',
      { role: 'row', 'data-key': key, class: opened.has(key) ? 'opened' : null },
      columns.map((column) => tableCell(column, column.cell(task))),
    );
    if (!opened.has(key)) return [row];
    return [row, h('tr', { role: 'row', class: 'detail', 'data-key': `${key}/detail` }, h('td', { role: 'cell', colspan: columns.length }, taskDetail(task, store.details.get(key))))];
  });
  return grid(kind === 'scan' ? 'Scans, the newest first' : 'Merges, the newest first', columns, rows);
}

/** The key of a task's row. */
export function taskKey(kind, task) {
  return `${kind}-${task.id}`;
}

function taskColumns(kind, nameOf, opened, now) {
  const what = (task) =>
    kind === 'scan'
      ? nameOf(task.cluster_id)
      : [h('span', { class: 'note' }, `${task.database_name}.`), task.table_name, task.partition ? h('code', { class: 'under' }, task.partition) : null];
  const opener = (task) => {
    const open = opened.has(taskKey(kind, task));
    const action = { type: 'button', class: 'opener', 'data-action': 'open-task', 'data-kind': kind, 'data-id': task.id, 'aria-expanded': open ? 'true' : 'false' };
    return h('button', action, icon('open'), h('span', null, what(task)), h('span', { class: 'sr' }, ` log of ${kind} ${task.id}`));
  };
  return [
    { name: kind === 'scan' ? 'Cluster' : 'Table', cell: opener, style: kind === 'scan' ? 'main' : 'main wide' },
    { name: 'State', cell: state },
    { name: 'Result', cell: kind === 'scan' ? scanResult : mergeResult },
    { name: 'Asked', cell: (task) => [moment(task.requested_at, now), took(task, now)], style: 'number' },
    { name: 'By', cell: (task) => task.version ?? '–', style: 'number' },
  ];
}

function state(task) {
  const [text, sign] = STATES[task.status] ?? [task.status, 'minus'];
  return h('span', { class: `state state-${STATES[task.status] ? task.status : 'other'}` }, icon(sign), text);
}

function took(task, now) {
  const ms = workedMs(task, now);
  return ms === null ? null : h('span', { class: 'note under' }, `${isOpen(task) ? 'for' : 'took'} ${duration(ms)}`);
}

function scanResult(task) {
  if (task.status === 'failed') return h('span', { class: 'note' }, 'see its log');
  if (task.status !== 'success') return '–';
  return [h('b', null, count(task.small_files)), h('span', { class: 'note' }, ` small of ${count(task.files)} in ${counted(task.tables, 'table')}`)];
}

function mergeResult(task) {
  if (task.status === 'failed') return h('span', { class: 'note' }, 'see its log');
  if (task.status !== 'success') return '–';
  if (!task.files_before) return h('span', { class: 'note' }, 'nothing to merge');
  return [h('b', null, `${count(task.files_before)} → ${count(task.files_after)}`), h('span', { class: 'note' }, ` files, ${bytes(task.bytes_after)}`)];
}

function taskDetail(task, detail) {
  const tries = task.attempts > 1 ? h('p', { class: 'note' }, `${task.attempts} tries`) : null;
  const error = task.error ? h('p', { class: 'task-error' }, icon('warning'), task.error) : null;
  let log = h('p', { class: 'note' }, 'Reading the log…');
  if (detail?.failure) log = h('p', { class: 'note' }, `The log could not be read: ${detail.failure}`);
  else if (detail && !detail.rows.length) log = h('p', { class: 'note' }, 'No log: nothing was written yet, or it was cleaned away.');
  else if (detail) log = h('ol', { class: 'log' }, detail.rows.map((line) => h('li', null, h('time', { datetime: line.logged_at }, clock(Date.parse(line.logged_at))), h('span', null, line.message))));
  return [error, tries, log];
}

/** What stands in the place of a list without rows; null when there are rows. */
export function placeholder(list, store, rows) {
  if (rows === null) return waiting(store);
  if (rows.length) return null;
  return {
    tables: () => empty('table', 'No tables yet', 'They appear here when a cluster was scanned.'),
    scan: () => empty('scan', 'No scans yet', 'Start one at its cluster; the schedule makes one every six hours.'),
    merge: () => empty('merge', 'No merges yet', 'Open a table and merge the small files of a partition.'),
  }[list]();
}

function waiting(store) {
  if (store.link.state === 'away') return empty('warning', 'Not read yet', 'The API does not answer.');
  return h('div', { class: 'skeleton', 'aria-label': 'Loading', role: 'img' }, h('i', null), h('i', null), h('i', null));
}

function empty(sign, title, text, action = null) {
  return h('div', { class: 'empty', 'data-key': `empty-${title}` }, icon(sign), h('strong', null, title), h('span', { class: 'note' }, text), action);
}

/** A table that narrow screens show as a list of cards: the roles keep it a table for a screen reader. */
export function grid(caption, columns, rows, style = '') {
  return h(
    'table',
    { class: `grid ${style}`, role: 'table', 'data-key': caption },
    h('caption', { class: 'sr' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(({ name, style: kind }) => h('th', { role: 'columnheader', scope: 'col', class: kind, 'data-key': name }, name)))),
    h('tbody', { role: 'rowgroup' }, rows),
  );
}

/** A cell; narrow screens leave out those that have nothing to say. */
function tableCell({ name, style = '' }, content) {
  return h('td', { role: 'cell', 'data-name': name, class: content === '–' ? `${style} blank` : style }, content);
}

function moment(iso, now) {
  const at = Date.parse(iso);
  return h('time', { datetime: iso, title: new Date(at).toLocaleString('en-GB') }, ago(at, now));
}

function clock(ms) {
  return new Date(ms).toLocaleTimeString('en-GB');
}

function namer(clusters) {
  const names = new Map((clusters ?? []).map((cluster) => [cluster.id, cluster.name]));
  return (id) => names.get(id) ?? `cluster ${id}`;
}

function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1).replace(/[.\s]+$/, '')}.` : '';
}

/** The line at the foot of the page: what each version that answers can do. */
export function footnote({ abouts, versions }, pageVersion) {
  const known = versions.shares.map(({ version }) => abouts.get(version)).filter(Boolean);
  known.sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
  const told = known.map(({ version, features, schema_head: schema }) =>
    [`API ${version}`, ...(features.length ? [`features: ${features.join(', ')}`] : []), `schema ${schema}`].join(', '),
  );
  return [[`Page ${pageVersion}`, ...told].join(' · ')];
}
