// During a canary two versions answer in turn. What one of them knows must not flicker in and out of the page.

const WINDOW = 40;

/** Counts which version gave the last answers. */
export class VersionWindow {
  #last = [];

  /** @param {string} version */
  note(version) {
    this.#last.push(version);
    if (this.#last.length > WINDOW) this.#last.shift();
  }

  /** The version of the newest answer, null before the first. */
  get latest() {
    return this.#last.at(-1) ?? null;
  }

  /** Versions with their number of answers in the window, the most frequent first. */
  get shares() {
    const counts = new Map();
    for (const version of this.#last) counts.set(version, (counts.get(version) ?? 0) + 1);
    return [...counts].map(([version, answers]) => ({ version, answers })).sort((a, b) => b.answers - a.answers);
  }

  /** How many answers `shares` is about. */
  get size() {
    return this.#last.length;
  }
}

const PATIENCE = 5;

/**
 * Remembers what only 1.0.0 says about a table: the share of small files and the mean size.
 *
 * A record of a scan never changes, so what was said about its id once stays true when the older version answers the
 * next time. The columns are shown until PATIENCE answers in a row lacked them: then it is no canary, but a rollback.
 */
export class Ratings {
  #known = new Map();
  #answersWithout = PATIENCE;

  /**
   * Take in one answer and fill what it lacks.
   * @param {object[]} tables rows of /tables.
   * @returns {object[]} the rows, with small_file_ratio and avg_file_bytes wherever they are known.
   */
  complete(tables) {
    if (tables.length) {
      const rated = tables.some((table) => 'small_file_ratio' in table);
      this.#answersWithout = rated ? 0 : this.#answersWithout + 1;
    }
    const known = new Map();
    const rows = tables.map((table) => {
      const rating =
        'small_file_ratio' in table
          ? { small_file_ratio: table.small_file_ratio, avg_file_bytes: table.avg_file_bytes }
          : (this.#known.get(table.id) ?? {});
      known.set(table.id, rating);
      return { ...table, ...rating };
    });
    this.#known = known; // rows that went away are forgotten
    return rows;
  }

  /** True while the columns have something to show. */
  get isOffered() {
    return this.#answersWithout < PATIENCE;
  }
}

/** Sort by the known share, the worst first; what is not known goes to the end, in the order given. */
export function byShare(tables) {
  return [...tables].sort((a, b) => (b.small_file_ratio ?? -1) - (a.small_file_ratio ?? -1));
}
