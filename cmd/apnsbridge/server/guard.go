package server

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// reads lets those requests through to next whose sender may ask:
// with the token where there is one. On a port that asks for nothing, which only
// this machine can reach, the request must name it by its address. A name may be
// that of a web page whose owner has pointed it here, to have the operator's
// browser ask in the owner's place.
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

// probed answers a load balancer's plain question with a word: one without a token
// where that is asked for, or without a Host header, which no browser sends.
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

// changes lets only those requests through to next that a caller who may ask has
// sent on purpose. A web page that they look at can have their browser send requests
// too, with their certificate: it can set no header for a server that is not its own,
// and the browser tells whether a form is of the page it goes to.
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

// ofOwnPage reports whether a browser says that r comes of a page of the port itself: by Fetch Metadata, or by its Origin
// where it sends none, as to an address without TLS that is not this machine's.
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

// tokenOf is the token that r bears, also as the password that a browser has asked
// for, "" for none.
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

// namesAddress reports whether host, with or without a port, is an address or
// localhost, and not a name that others can point to this machine.
func namesAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
}
