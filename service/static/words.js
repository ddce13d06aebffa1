/** The catalogues that come with the page. None here: a bundle has those that its page needs first. */

export const words = {};

/** @type {string[]|null} every language there is a catalogue of; null: not known */
export const languages = null;
