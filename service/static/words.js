/** The catalogues that come with the page. None here: a bundle has those that its page needs first. */

export const words = {};

/** @type {string[]} every language there is a catalogue of, so that none is asked for that is not there */
export const languages = ["de", "en", "es", "fr", "ja", "pt-BR"];
