// Asks again and again: soon while something is under way, later when nothing is, less and less when nobody answers,
// and not at all while nobody looks.

const FIRST_RETRY_S = 2;
const LONGEST_RETRY_S = 60;

/**
 * Seconds until the next try after failures in a row, doubled each time.
 * @param {number} failures at least 1.
 * @param {number} chance 0..1; spreads the tries of many browsers over ±20 %.
 * @param {number} atLeastS what the server asked for (Retry-After).
 */
export function backOff(failures, chance, atLeastS = 0) {
  const plain = Math.min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** (failures - 1));
  return Math.max(plain * (0.8 + 0.4 * chance), Math.min(atLeastS, LONGEST_RETRY_S));
}

/** Runs one round at a time. */
export class Poller {
  #round;
  #clock;
  #timer = null;
  #running = false;
  #again = false;
  #paused = false;
  #failures = 0;

  /** When the next round begins, in ms of the clock; null while one runs or all is paused. */
  nextAt = null;

  /**
   * @param {() => Promise<{answered: boolean, nextInS: number, retryAfterS?: number}>} round
   *   answered is false when nothing at all came back; then nextInS is not looked at.
   * @param {{now: () => number, set: Function, clear: Function, chance: () => number}} clock
   */
  constructor(round, clock) {
    this.#round = round;
    this.#clock = clock;
  }

  /** Begin a round now, or another one right after the one that runs. */
  async poke() {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#stopTimer();
    this.#running = true;
    let waitS = LONGEST_RETRY_S; // a bug in one round must not end all of them
    try {
      do {
        this.#again = false;
        const { answered, nextInS, retryAfterS = 0 } = await this.#round();
        this.#failures = answered ? 0 : this.#failures + 1;
        waitS = answered ? nextInS : backOff(this.#failures, this.#clock.chance(), retryAfterS);
      } while (this.#again);
    } finally {
      this.#running = false;
      if (!this.#paused) this.#startTimer(waitS);
    }
  }

  /** Ask nothing until resume(). */
  pause() {
    this.#paused = true;
    this.#stopTimer();
  }

  /** Ask at once, then go on. */
  resume() {
    this.#paused = false;
    return this.poke();
  }

  #startTimer(waitS) {
    this.nextAt = this.#clock.now() + waitS * 1000;
    this.#timer = this.#clock.set(() => this.poke(), waitS * 1000);
  }

  #stopTimer() {
    if (this.#timer !== null) this.#clock.clear(this.#timer);
    this.#timer = null;
    this.nextAt = null;
  }
}
