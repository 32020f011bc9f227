// What follows from the answers of the API. Pure.

const OPEN = new Set(['pending', 'running']);

/** The partition's name in the API when a table has none. */
export const WHOLE_TABLE = '';

/** True while somebody still has to finish the task. */
export function isOpen(task) {
  return OPEN.has(task.status);
}

/** Milliseconds a task has worked, null before it began. */
export function workedMs(task, now) {
  if (!task.started_at) return null;
  return (task.finished_at ? Date.parse(task.finished_at) : now) - Date.parse(task.started_at);
}

/** The share of small files, null when there are no files. */
export function shareOf(smallFiles, files) {
  return files > 0 ? smallFiles / files : null;
}

/** One name for a partition everywhere: two tables may have partitions of the same name. */
export function partitionKey({ cluster_id, database_name, table_name }, partition) {
  return JSON.stringify([cluster_id, database_name, table_name, partition]);
}

/** The partitions that a merge is asked for or at work on. */
export function openMerges(merges) {
  return new Map(merges.filter(isOpen).map((task) => [partitionKey(task, task.partition), task]));
}

/** The clusters whose scan is not finished. */
export function openScans(scans) {
  return new Set(scans.filter(isOpen).map((task) => task.cluster_id));
}

/**
 * Sum up the newest successful scan of each cluster.
 * @param {object[]} clusters
 * @param {Map<number, object>} lastScans scan tasks by id.
 */
export function totals(clusters, lastScans) {
  const sum = { tables: 0, files: 0, smallFiles: 0, scanned: 0 };
  for (const cluster of clusters) {
    const scan = lastScans.get(cluster.last_scan_task_id);
    if (!scan) continue;
    sum.scanned += 1;
    sum.tables += scan.tables;
    sum.files += scan.files;
    sum.smallFiles += scan.small_files;
  }
  return sum;
}

/** The newest successful scans that were not read yet. */
export function missingScans(clusters, lastScans) {
  return clusters.map((cluster) => cluster.last_scan_task_id).filter((id) => id !== null && !lastScans.has(id));
}

/**
 * Say which tasks ended between two answers.
 * @param {object[]|null} before null on the first answer: what ended long ago is no news.
 */
export function endings(before, after) {
  const wasOpen = new Set((before ?? []).filter(isOpen).map((task) => task.id));
  return after.filter((task) => wasOpen.has(task.id) && !isOpen(task));
}

/** Fewer than two small files are left as they are by a merge. */
export function isMergeable(partition) {
  return partition.small_files >= 2;
}

/** Seconds until the next look: a task that works is worth looking at more often. */
export function nextInS(scans, merges) {
  return [...scans, ...merges].some(isOpen) ? 2 : 10;
}
