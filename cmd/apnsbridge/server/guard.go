package server

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// reads passes a request on to next if its sender may ask: with the token, if there is
// one. A port without a token, which only this machine can reach, must be named by its
// address in the request. A host name may belong to a web page whose owner has pointed it
// here to make the operator's browser send requests (DNS rebinding).
func (a *admin) reads(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		access := a.current.Load().admin
		switch {
		case access.token != nil && !access.bears(tokenOf(r)):
			a.unauthorized.Add(1)
			a.refuse(r.RemoteAddr, errNoToken)
			w.Header().Set("WWW-Authenticate", `Basic realm="apnsbridge"`)
			http.Error(w, "requests need the header Authorization: Bearer with the token of admin.token, or the "+
				"token as the password of a browser's question", http.StatusUnauthorized)
		case !access.guarded() && !namesAddress(r.Host):
			a.forbid(w, "requests must name the admin port by its address or as localhost")
		default:
			next(w, r)
		}
	}
}

// probed answers a load balancer's simple probe with word, and other requests with whole. A
// probe has no token though one is needed, or has no Host header, as no browser's request.
func (a *admin) probed(word, whole http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asksNothing := r.Header.Get("Authorization") == ""
		if r.Host == "" && asksNothing || a.current.Load().admin.token != nil && asksNothing {
			word(w, r)
			return
		}
		whole(w, r)
	}
}

// changes passes a request on to next only if its sender may ask and has sent it on purpose.
// A web page can make its visitor's browser send requests too, with the visitor's
// certificate. But it cannot set a header for another server, and the browser says from
// which server the page came that sends a form.
func (a *admin) changes(next http.HandlerFunc) http.HandlerFunc {
	return a.reads(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Apnsbridge") != "yes" && !ofOwnPage(r):
			a.forbid(w, "requests that change something need the header X-Apnsbridge: yes")
		case a.sameOrigin.Check(r) != nil:
			a.forbid(w, "requests that change something are not taken from web pages")
		default:
			next(w, r)
		}
	})
}

// ofOwnPage reports whether a browser says that r comes from a page of the port itself: by Fetch Metadata or, where it
// sends none, as to another machine's address without TLS, by its Origin.
func ofOwnPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && origin.Host != "" && origin.Host == r.Host
}

func (a *admin) forbid(w http.ResponseWriter, why string) {
	a.forbidden.Add(1)
	http.Error(w, why, http.StatusForbidden)
}

var errNoToken = errors.New("without the right token")

// tokenOf returns the token of r, which may be the password that a browser has asked for;
// "" if there is none.
func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// namesAddress reports whether host, with or without a port, is an address or localhost,
// rather than a name that others can point to this machine.
func namesAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
}
