import assert from 'node:assert/strict';
import test from 'node:test';

import { backOff, Poller } from '../../../../include/app/frontend/site/assets/poller.js';

/** A clock that stands still until told: what is set can be looked at and fired. */
function makeClock() {
  const timers = new Map();
  let next = 1;
  return {
    timers,
    now: () => 1000,
    set: (run, ms) => timers.set(next, { run, ms }) && next++,
    clear: (id) => timers.delete(id),
    chance: () => 0.5,
  };
}

const waits = ({ timers }) => [...timers.values()].map(({ ms }) => ms);
const well = { answered: true, nextInS: 10 };
const away = { answered: false, nextInS: 10 };

test('the wait doubles up to a minute, spread by a fifth, and is at least what the server asks for', () => {
  assert.deepEqual([1, 2, 3, 6, 50].map((failures) => backOff(failures, 0.5)), [2, 4, 8, 60, 60]);
  assert.deepEqual([backOff(3, 0), backOff(3, 1)].map((s) => Math.round(s * 10)), [64, 96]);
  assert.equal(backOff(1, 0.5, 7), 7);
  assert.equal(backOff(1, 0.5, 100_000), 60);
});

test('failures wait longer and longer, and one answer forgives all', async () => {
  const clock = makeClock();
  const outcomes = [well, away, away, well, away];
  const poller = new Poller(async () => outcomes.shift(), clock);
  const seen = [];
  for (let n = 0; n < 5; n += 1) {
    await poller.poke();
    seen.push(...waits(clock));
  }
  assert.deepEqual(seen, [10_000, 2000, 4000, 10_000, 2000]);
});

test('one round at a time: a poke meanwhile makes another round right after', async () => {
  const clock = makeClock();
  const open = [];
  const poller = new Poller(() => new Promise((done) => open.push(() => done(well))), clock);
  const first = poller.poke();
  poller.poke();
  poller.poke();
  assert.equal(open.length, 1);
  open[0]();
  await new Promise(setImmediate);
  assert.equal(open.length, 2);
  open[1]();
  await first;
  assert.equal(open.length, 2);
  assert.equal(clock.timers.size, 1);
});

test('a page that nobody looks at asks nothing, even when a round ends after it was hidden', async () => {
  const clock = makeClock();
  let finish;
  const poller = new Poller(() => new Promise((done) => (finish = () => done(well))), clock);
  const round = poller.poke();
  poller.pause();
  finish();
  await round;
  assert.equal(clock.timers.size, 0);
  assert.equal(poller.nextAt, null);
  const again = poller.resume();
  finish();
  await again;
  assert.equal(clock.timers.size, 1);
  assert.equal(poller.nextAt, 11_000);
});

test('a round that throws does not end the polling', async () => {
  const clock = makeClock();
  const poller = new Poller(async () => { throw new Error('a bug'); }, clock);
  await assert.rejects(poller.poke(), /a bug/);
  assert.deepEqual(waits(clock), [60_000]);
});
