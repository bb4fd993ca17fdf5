"""Plausible wrong answers to the exercises of chapter 07; each must get feedback of its own."""

# %% 07-hops: frame by frame, so a word that is cut in two is missed
def readable(cap, word):
    return sorted({frame.wire for frame in cap if word in frame.payload})
labs.exercise("07-hops").check(readable)
# %% 07-hops: all bytes of a wire together, whoever sent them
def readable(cap, word):
    wires = {frame.wire for frame in cap}
    return [wire for wire in wires if word in b"".join(frame.payload for frame in cap if frame.wire == wire)]
labs.exercise("07-hops").check(readable)
# %% 07-hops: yes or no instead of which
def readable(cap, word):
    return any(word in frame.payload for frame in cap)
labs.exercise("07-hops").check(readable)
# %% 07-hops: streams of the whole capture; a stream that crosses two wires is put together from the first copy alone
def readable(cap, word):
    return [0] if any(word in stream.sent(side) for stream in labs.streams(cap) for side in ("client", "server")) else []
labs.exercise("07-hops").check(readable)
# %% 07-retry: looks at the status only
def again(method, headers, status, tries):
    return status >= 500
labs.exercise("07-retry").check(again)
# %% 07-retry: counts, and forgets the method
def again(method, headers, status, tries):
    return status >= 500 and tries < int(headers.get("x-tries", 1))
labs.exercise("07-retry").check(again)
# %% 07-retry: forbids POST by name
def again(method, headers, status, tries):
    return method != "POST" and status >= 500 and tries < int(headers.get("x-tries", 1))
labs.exercise("07-retry").check(again)
# %% 07-retry: trusts the header
def again(method, headers, status, tries):
    return method in ("GET", "PUT", "DELETE") and status >= 500 and tries < int(headers.get("x-tries", 1))
labs.exercise("07-retry").check(again)
# %% 07-retry: counts the tries after the first
def again(method, headers, status, tries):
    return method == "GET" and status >= 500 and tries <= int(headers.get("x-tries", 0))
labs.exercise("07-retry").check(again)
# %% 07-retry: retries whatever is not 200
def again(method, headers, status, tries):
    return method == "GET" and status != 200 and tries < int(headers.get("x-tries", 1))
labs.exercise("07-retry").check(again)
# %% 07-envoy: the chapter's own routes
labs.exercise("07-envoy").check(routes(tries=3))
# %% 07-envoy: the first route that matches wins, and it matches everything
by_header = {"prefix": "/", "headers": [{"name": "x-tries", "present_match": True}]}
my_routes = [*routes(tries=1), {"match": by_header, "route": routes(tries=3)[0]["route"]}]
labs.exercise("07-envoy").check(my_routes)
# %% 07-envoy: by header, whatever the method
my_routes = [{"match": by_header, "route": routes(tries=3)[0]["route"]}, *routes(tries=1)]
labs.exercise("07-envoy").check(my_routes)
# %% 07-envoy: three retries are four tries
my_routes = [{"match": by_header, "route": routes(tries=4)[0]["route"]}, *routes(tries=1)]
labs.exercise("07-envoy").check(my_routes)
# %% 07-envoy: POST has a route of its own, PATCH has not
post = {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]}
my_routes = [{"match": post, "route": {"cluster": "next"}},
             {"match": by_header, "route": routes(tries=3)[0]["route"]}, *routes(tries=1)]
labs.exercise("07-envoy").check(my_routes)
# %% 07-envoy: nothing for a POST
get = {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}
my_routes = [{"match": {"prefix": "/", "headers": get["headers"] + by_header["headers"]}, "route": routes(tries=3)[0]["route"]},
             {"match": get, "route": {"cluster": "next"}}]
labs.exercise("07-envoy").check(my_routes)
# %% 07-envoy: a field that Envoy does not know
labs.exercise("07-envoy").check([{"match": {"prefix": "/"}, "route": {"cluster": "next", "retry_polcy": {}}}])
# %% 07-envoy: a cluster that is not there
labs.exercise("07-envoy").check([{"match": {"prefix": "/"}, "route": {"cluster": "server"}}])
