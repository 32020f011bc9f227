// What the page knows, and one round of questions that brings it up to date. No DOM.

import { endings, missingScans, nextInS } from './model.js';
import { byShare, Ratings, VersionWindow } from './versions.js';

const LIST_START = { tables: 25, scan: 8, merge: 8 };
const LIST_MAX = 500; // the API's own limit of a page
const SCANS_A_ROUND = 20;

export class Store {
  #api;
  #now;
  #ratings = new Ratings();

  versions = new VersionWindow();
  abouts = new Map(); // answers of /version, by version
  clusters = null;
  tables = null;
  tasks = { scan: null, merge: null };
  more = { tables: false, scan: false, merge: false };
  lastScans = new Map(); // newest successful scans by id; they never change
  details = new Map(); // of opened rows, by key: {rows} or {failure}
  limits = { ...LIST_START };
  clusterId = null;
  order = 'small_files';
  link = { state: 'starting', failures: [], updatedAt: null };
  endings = []; // [kind, task] of this round

  /**
   * @param {(noteVersion: (version: string) => void) => object} makeApi
   * @param {() => number} now ms
   */
  constructor(makeApi, now) {
    this.#api = makeApi((version) => this.versions.note(version));
    this.#now = now;
  }

  get api() {
    return this.#api;
  }

  get isRated() {
    return this.#ratings.isOffered;
  }

  /** Show one cluster, or all with null. What belongs to another one is dropped at once. */
  chooseCluster(clusterId) {
    this.clusterId = clusterId;
    this.tables = null;
    this.tasks = { scan: null, merge: null };
    this.limits = { ...LIST_START };
  }

  /** Show more rows of a list. */
  showMore(list) {
    this.limits[list] = Math.min(LIST_MAX, this.limits[list] * 3);
  }

  /**
   * Ask everything once. What fails keeps its last answer.
   * @param {Map<string, () => Promise<{value: object[]}>>} opened questions of the opened rows, by key.
   * @returns {Promise<{answered: boolean, nextInS: number, retryAfterS: number}>} for the poller.
   */
  async round(opened) {
    const question = this.clusterId;
    const scope = { cluster_id: this.clusterId };
    const parts = [
      ['version', this.#api.version(), ({ value }) => this.abouts.set(value.version, value)],
      ['clusters', this.#api.clusters(), ({ value }) => (this.clusters = value.items)],
      ['tables', this.#askTables(scope), (answer) => this.#takeTables(answer)],
      ...['scan', 'merge'].map((kind) => [
        `${kind}s`,
        this.#api.tasks(kind, { ...scope, limit: this.limits[kind] }),
        ({ value }) => this.#takeTasks(kind, value),
      ]),
    ];
    const failures = [];
    this.endings = [];
    const settled = await Promise.allSettled(parts.map(([, answer]) => answer));
    // Another cluster was chosen meanwhile: these rows are not what is looked at any more.
    const isStale = question !== this.clusterId;
    settled.forEach(({ status, value, reason }, index) => {
      const [name, , take] = parts[index];
      if (status === 'rejected') failures.push({ name, reason });
      else if (!isStale || name === 'version' || name === 'clusters') take(value);
    });
    const answered = failures.length < parts.length;
    if (answered) await Promise.all([this.#readLastScans(failures), this.#readDetails(opened)]);
    this.#noteLink(answered, failures);
    return {
      answered,
      nextInS: nextInS(this.tasks.scan ?? [], this.tasks.merge ?? []),
      retryAfterS: Math.max(0, ...failures.map(({ reason }) => reason.retryAfterS ?? 0)),
    };
  }

  /** Read what one opened row shows. */
  async readDetail(key, ask) {
    try {
      const { value } = await ask();
      this.details.set(key, { rows: value });
    } catch (error) {
      // What was read before is still worth more than an error; the banner tells of that one.
      if (!this.details.get(key)?.rows) this.details.set(key, { failure: error.message });
    }
  }

  async #askTables(scope) {
    const question = { ...scope, limit: this.limits.tables };
    if (this.order !== 'ratio') return this.#api.tables({ ...question, order: this.order });
    try {
      return await this.#api.tables({ ...question, order: 'ratio' });
    } catch (error) {
      if (error.status !== 422) throw error;
      return this.#api.tables({ ...question, order: 'small_files' }); // a version from before this order
    }
  }

  #takeTables({ value }) {
    const rows = this.#ratings.complete(value.items);
    if (!this.isRated && this.order === 'ratio') this.order = 'small_files';
    this.tables = this.order === 'ratio' ? byShare(rows) : rows;
    this.more.tables = value.next_after !== null && this.limits.tables < LIST_MAX;
  }

  #takeTasks(kind, { items, next_after: following }) {
    for (const task of endings(this.tasks[kind], items)) this.endings.push([kind, task]);
    this.tasks[kind] = items;
    this.more[kind] = following !== null && this.limits[kind] < LIST_MAX;
  }

  async #readLastScans(failures) {
    const missing = missingScans(this.clusters ?? [], this.lastScans).slice(0, SCANS_A_ROUND);
    const settled = await Promise.allSettled(missing.map((id) => this.#api.scan(id)));
    settled.forEach(({ status, value, reason }) => {
      if (status === 'fulfilled') this.lastScans.set(value.value.id, value.value);
      else failures.push({ name: 'scans', reason });
    });
  }

  async #readDetails(opened) {
    await Promise.all([...opened].map(([key, ask]) => this.readDetail(key, ask)));
    for (const key of this.details.keys()) if (!opened.has(key)) this.details.delete(key);
  }

  #noteLink(answered, failures) {
    const state = failures.length === 0 ? 'well' : answered ? 'partly' : 'away';
    this.link = { state, failures, updatedAt: answered ? this.#now() : this.link.updatedAt };
  }
}
