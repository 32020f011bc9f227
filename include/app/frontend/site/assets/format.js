// Numbers, sizes and times as people read them.

const NUMBER = new Intl.NumberFormat('en');
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const NOTHING = '–';

/** 12345 -> "12,345" */
export function count(value) {
  return value === null || value === undefined ? NOTHING : NUMBER.format(value);
}

/** "1 file", "2 files" */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** 1536 -> "1.5 KiB" */
export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : Number(size.toFixed(1))} ${UNITS[unit]}`;
}

/** 0.9234 -> "92 %". Never 0 % for a few, and never 100 % for not quite all. */
export function percent(share) {
  if (share === null || share === undefined) return NOTHING;
  if (share > 0 && share < 0.01) return '< 1 %';
  if (share < 1 && share > 0.99) return '> 99 %';
  return `${Math.round(share * 100)} %`;
}

/** How bad a share of small files is: "good", "fair" or "poor". */
export function severity(share) {
  if (share < 0.3) return 'good';
  return share < 0.7 ? 'fair' : 'poor';
}

/** Milliseconds -> "0.4 s", "42 s", "3 min 5 s", "2 h 10 min" */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long ago, in one unit: "just now", "5 min ago", "3 h ago", "2 days ago" */
export function ago(then, now) {
  const minutes = Math.floor((now - then) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ago`;
  return `${Math.floor(hours / 24)} days ago`;
}
