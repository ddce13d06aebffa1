"""The page in the sidebar: what it opens with.

routes   Zendesk's signed POST, answered with the page
at_hand  status and list as far as Redis has them: one round trip, nothing asked of Zendesk
console  the same page in a window of its own, for whoever has signed in
markup   the page's text, with data in a script element that the data cannot end
"""
