import assert from 'node:assert/strict';
import test from 'node:test';

import { byShare, Ratings, VersionWindow } from '../../../../include/app/frontend/site/assets/versions.js';

const plain = (id) => ({ id, small_files: 1 });
const rated = (id, ratio) => ({ ...plain(id), small_file_ratio: ratio, avg_file_bytes: 7 });

test('the window forgets what was long ago', () => {
  const seen = new VersionWindow();
  assert.equal(seen.latest, null);
  seen.note('0.9.0');
  for (let n = 0; n < 39; n += 1) seen.note('1.0.0');
  assert.deepEqual(seen.shares, [{ version: '1.0.0', answers: 39 }, { version: '0.9.0', answers: 1 }]);
  seen.note('1.0.0');
  assert.deepEqual(seen.shares, [{ version: '1.0.0', answers: 40 }]);
  assert.equal(seen.size, 40);
});

test('0.9.0 alone offers no share', () => {
  const ratings = new Ratings();
  assert.deepEqual(ratings.complete([plain(1)]), [plain(1)]);
  assert.equal(ratings.isOffered, false);
});

test('in a canary what 1.0.0 said about a record stays', () => {
  const ratings = new Ratings();
  ratings.complete([rated(1, 0.5), rated(2, null)]);
  assert.deepEqual(ratings.complete([plain(1), plain(3)]), [rated(1, 0.5), plain(3)]);
  assert.equal(ratings.isOffered, true);
});

test('after a rollback the columns go: the fifth answer without them in a row ends it', () => {
  const ratings = new Ratings();
  ratings.complete([rated(1, 0.5)]);
  for (let n = 0; n < 4; n += 1) ratings.complete([plain(1)]);
  assert.equal(ratings.isOffered, true);
  ratings.complete([plain(1)]);
  assert.equal(ratings.isOffered, false);
});

test('an empty list says nothing about the version', () => {
  const ratings = new Ratings();
  ratings.complete([rated(1, 0.5)]);
  for (let n = 0; n < 9; n += 1) ratings.complete([]);
  assert.equal(ratings.isOffered, true);
});

test('unknown shares go to the end', () => {
  assert.deepEqual(byShare([plain(1), rated(2, 0), rated(3, 0.9), rated(4, null)]).map(({ id }) => id), [3, 2, 1, 4]);
});
