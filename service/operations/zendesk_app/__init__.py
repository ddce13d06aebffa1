"""The Zendesk app of `manifest/`, packed for an upload.

command      what the operator types
package      the zip, and writing it
rules        what is looked at before
contents     the files of the app, with the service's address filled in
"""
