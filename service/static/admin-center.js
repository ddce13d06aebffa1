/** Where an account's admins see at Zendesk what no API tells: whether a flow has run. */

/**
 * The address of an account's Admin Center; the way from there stands in words, for addresses in it are not documented.
 *
 * @param {string} account
 * @returns {string}
 */
export function adminCenterOf(account) {
  return `https://${account}.zendesk.com/admin/`;
}
