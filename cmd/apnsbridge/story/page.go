package story

import (
	"bytes"
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"apnsbridge/binproto"
)

//go:embed page.html page.css page.js
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

// A view is the stage as the page shows it.
type view struct {
	Bundle   string
	Chapter  Chapter
	Chapters int
	Playing  bool
	Problem  string
	Cut      bool
	Phones   []phoneView
	Users    []userView
	Sent     []Sent
	Asked    []Asked
	Answers  []Event // error packets and tuples
	Events   []Event
}

type phoneView struct {
	Name, Token       string
	Online, Installed bool
	Badge             int
	Banners           []Shown
}

type userView struct{ Name, Token string }

// view takes a snapshot, the latest first.
func (s *Stage) view() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{Bundle: s.world.Bundle, Chapter: s.chapter, Chapters: len(chapters), Playing: s.playing, Problem: s.problem,
		Cut: s.cut, Sent: latest(s.provider.sent), Asked: latest(s.asked), Events: latest(s.events)}
	for _, p := range s.phones {
		v.Phones = append(v.Phones, phoneView{Name: p.name, Token: p.token, Online: p.line != nil, Installed: p.installed,
			Badge: p.badge, Banners: latest(p.banners)})
	}
	for _, u := range s.provider.users {
		v.Users = append(v.Users, userView{u.Name, hex.EncodeToString(u.Token)})
	}
	for _, e := range v.Events {
		if (e.Who == Gateway || e.Who == Feedback) && len(v.Answers) < maxShown {
			v.Answers = append(v.Answers, e)
		}
	}
	return v
}

func latest[T any](list []T) []T {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// pagePolicy lets a browser use what the page brings along, and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// Page serves the stage. It answers on loopback names only, and takes nothing from
// other sites' pages.
func (s *Stage) Page() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.Handle("GET /page.css", http.FileServerFS(files))
	mux.Handle("GET /page.js", http.FileServerFS(files))
	mux.HandleFunc("GET /changes", s.serveChanges)
	mux.HandleFunc("POST /do", s.serveDo)
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			http.Error(w, "this page is for the machine it runs on", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", pagePolicy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		guarded.ServeHTTP(w, r)
	})
}

// isLoopback reports whether a page was asked for under a name of this machine, and
// not under one that another site has pointed at it.
func isLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	address, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || err == nil && address.IsLoopback()
}

func (s *Stage) servePage(w http.ResponseWriter, _ *http.Request) {
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, s.view()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(text.Bytes())
}

// noMoreOftenThan is how long the page rests between two changes.
const noMoreOftenThan = 50 * time.Millisecond

// serveChanges tells a page that it is out of date, as server-sent events.
func (s *Stage) serveChanges(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	for {
		s.mu.Lock()
		seq, changed := s.seq, s.changed
		s.mu.Unlock()
		if _, err := fmt.Fprintf(w, "data: %d\n\n", seq); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
		if wait(r.Context(), noMoreOftenThan) != nil {
			return
		}
	}
}

// maxForm bounds what a form sends, in bytes.
const maxForm = 16 << 10

// serveDo does what a button says, and shows the page.
func (s *Stage) serveDo(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	s.complain(nil)
	err := r.ParseForm()
	if err == nil {
		err = s.do(ctx, r)
	}
	if err != nil {
		s.complain(err)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// complain shows an error in place of the one before it; nil is none.
func (s *Stage) complain(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = ""
	if err != nil {
		s.problem = strings.ReplaceAll(err.Error(), "story: ", "") // also of an error within another
	}
	s.touch()
}

func (s *Stage) do(ctx context.Context, r *http.Request) error {
	name := strings.TrimSpace(r.PostFormValue("name"))
	switch r.PostFormValue("do") {
	case "play":
		return s.playAlone()
	case "new":
		if name == "" || len(name) > 40 {
			return errors.New("a phone needs a name of up to 40 bytes")
		}
		return s.appear(ctx, name)
	case "on":
		return s.SwitchOn(ctx, name)
	case "off":
		return s.SwitchOff(name)
	case "install":
		return s.Install(ctx, name)
	case "uninstall":
		return s.Uninstall(ctx, name)
	case "erase":
		return s.Erase(ctx, name)
	case "cut":
		return s.CutOff(true)
	case "restore":
		return s.CutOff(false)
	case "feedback":
		_, err := s.ReadFeedback(ctx)
		return err
	case "bad":
		n := enhanced(s, "To whom?")
		n.Token = Mistyped()
		return s.Send(ctx, n)
	case "send":
		n, err := s.written(r)
		if err != nil {
			return err
		}
		return s.Send(ctx, n)
	}
	return fmt.Errorf("%.20q is nothing that can be done here", r.PostFormValue("do"))
}

// written reads the form with a frame's fields.
func (s *Stage) written(r *http.Request) (n binproto.Notification, err error) {
	command, err := strconv.Atoi(r.PostFormValue("command"))
	if err != nil || command < 0 || command > 2 {
		return n, errors.New("the command is 0, 1 or 2")
	}
	n.Command, n.Payload = binproto.Command(command), []byte(r.PostFormValue("payload"))
	if n.Token, err = hex.DecodeString(strings.TrimSpace(r.PostFormValue("token"))); err != nil {
		return n, errors.New("the device token is not hexadecimal")
	}
	minutes, err := strconv.Atoi(r.PostFormValue("minutes"))
	if err != nil || minutes < 0 || minutes > 43_200 {
		return n, errors.New("the expiry is 0 to 43200 minutes from now")
	}
	if n.HasExpiry = n.Command == binproto.Framed; minutes > 0 {
		n.Expiry = uint32(s.now().Add(time.Duration(minutes) * time.Minute).Unix())
	}
	if priority, err := strconv.ParseUint(r.PostFormValue("priority"), 10, 8); err == nil && n.Command == binproto.Framed {
		n.Priority = uint8(priority)
	}
	return n, nil
}

// playAlone plays the story in the background, slowly enough to be watched. It goes on if
// another browser has begun it.
func (s *Stage) playAlone() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.playing {
		return nil
	}
	s.playing = true
	s.running.Go(func() {
		err := s.CutOff(false)
		if err == nil {
			pause := func(ctx context.Context) error { return wait(ctx, s.world.Pause) }
			err = s.Play(s.ctx, pause, func(Chapter, []Event) error { return nil })
		}
		if err != nil {
			s.complain(fmt.Errorf("the story has stopped: %w", err))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.playing, s.chapter = false, Chapter{}
		s.touch()
	})
	return nil
}
