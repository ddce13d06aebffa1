"""What the API is, for programs (/openapi.json) and for people (/docs).

operations   every route, with the models that read its parameters and write its answers
cures        each error code: why it happens, what to do
description  the OpenAPI 3.1 document, made of both
routes       the two pages
"""
