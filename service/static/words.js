/** The catalogues that come with the page. Empty here: a bundle has those that its page needs first. */

export const words = {};
