/** Which groups a person has folded, kept in this browser; where nothing can be kept, for as long as the page is open. */

/** The folded groups of one account. */
export class Folded {
  #key;
  #names;

  /**
   * @param {string} account
   */
  constructor(account) {
    this.#key = `zis-folded/${account}`;
    this.#names = new Set(kept(this.#key));
  }

  /**
   * @param {string} name
   * @returns {boolean}
   */
  has(name) {
    return this.#names.has(name);
  }

  /**
   * @param {string} name
   * @param {boolean} isFolded
   */
  set(name, isFolded) {
    if (isFolded) this.#names.add(name);
    else this.#names.delete(name);
    try {
      if (this.#names.size) localStorage.setItem(this.#key, JSON.stringify([...this.#names]));
      else localStorage.removeItem(this.#key);
    } catch {
      // Blocked or full: the page itself remembers.
    }
  }
}

function kept(key) {
  try {
    const names = JSON.parse(localStorage.getItem(key));
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}
