"""What every request begins with and every answer carries.

request       the request at hand: its deadline, id, parameters, and the collaborators
answers       begins a request, adds the headers, makes an error a reply
bodies        bodies being read, counted by address
rate_limits   our own limits
plain_http    what came by http where PUBLIC_URL is https
cross_origin  what browsers let pages of other origins do (CORS)
documents/    the JSON of requests and answers, as models
"""
