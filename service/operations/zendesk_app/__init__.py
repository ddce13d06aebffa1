"""The Zendesk app of `manifest/`, packed for an upload.

command      what the operator types
package      the zip, and writing it
rules        the table of everything that is looked at before
*_rules      the rules, one small function each
addresses    what counts as a web address
contents     the files of the app, with the service's address filled in
"""
