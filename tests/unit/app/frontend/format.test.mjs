import assert from 'node:assert/strict';
import test from 'node:test';

import { ago, bytes, count, counted, duration, percent, severity } from '../../../../include/app/frontend/site/assets/format.js';

const table = (title, call, cases) =>
  test(title, () => {
    for (const [given, wanted] of cases) assert.equal(call(...[given].flat()), wanted, `${given}`);
  });

table('a share is never rounded to none or to all', percent, [
  [0, '0 %'], [0.0001, '< 1 %'], [0.5, '50 %'], [0.9996, '> 99 %'], [1, '100 %'], [null, '–'], [undefined, '–'],
]);
table('sizes keep three figures at most', bytes, [
  [0, '0 B'], [1023, '1023 B'], [1536, '1.5 KiB'], [128 * 1024 ** 2, '128 MiB'], [2 ** 60, '1024 PiB'], [null, '–'],
]);
table('durations name two units at most', duration, [
  [-5, '0.0 s'], [400, '0.4 s'], [42_900, '42 s'], [185_000, '3 min 5 s'], [7_800_000, '2 h 10 min'],
]);
table('times in the past name one unit', (ms) => ago(0, ms), [
  [-1000, 'just now'], [59_000, 'just now'], [60_000, '1 min ago'], [3_600_000 * 47, '47 h ago'], [3_600_000 * 48, '2 days ago'],
]);
table('one file is not one files', (n) => counted(n, 'file'), [[1, '1 file'], [0, '0 files'], [1234, '1,234 files']]);
table('nothing known is a dash, and nothing there is a zero', count, [[null, '–'], [0, '0']]);
table('severity has two edges', severity, [[0.29, 'good'], [0.3, 'fair'], [0.69, 'fair'], [0.7, 'poor']]);
