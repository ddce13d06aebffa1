"""Who is asking: the signed page, its session, and what a person may do.

routes            the page itself, and the renewal of its session
zaf_jwt           Zendesk's signed request
app_keys          the app's public key: from settings, memory, Redis or Zendesk
key_fetches       keys being fetched: one question an account, a share for each who makes us ask
sessions          our own short-lived bearer
guard             what every API route checks first
managers          may this person look, may they change? asked of Zendesk
roles             what Zendesk's answer about a person allows, and the sentence that says why not
connection        what the sidebar is told of the account; disconnecting
account_routes    status, disconnect, activity
"""
