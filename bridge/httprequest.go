package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"golang.org/x/net/http2"
)

// answerBytes is how much of an answer is read. APNs says all in a hundred.
const answerBytes = 4 << 10

// ask makes one request for r on the stream reserved on c, and judges its
// answer.
func (u *httpUpstream) ask(c *httpConn, r *record) verdict {
	ctx, cancel := context.WithTimeout(u.ctx, u.limits.RequestTimeout)
	defer cancel()
	body := &payloadBody{rest: r.Payload()}
	defer body.Close()
	req, err := u.newRequest(ctx, r, body)
	if err != nil {
		u.mu.Lock()
		c.spare++
		u.mu.Unlock()
		return verdict{class: held, reason: err.Error()}
	}
	res, err := c.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			u.leave(c)
		}
		return failureOf(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return judge(http.StatusOK, nil)
	}
	// A body that breaks off is judged as far as it came: the status is known,
	// and it says that the push was not accepted.
	said, _ := io.ReadAll(io.LimitReader(res.Body, answerBytes))
	return judge(res.StatusCode, said)
}

// newRequest writes down what r asks of APNs. body has the payload.
func (u *httpUpstream) newRequest(ctx context.Context, r *record, body io.ReadCloser) (*http.Request, error) {
	q := &r.request
	header := http.Header{
		"User-Agent":     {"apnsbridge"},
		"Apns-Topic":     {q.topic},
		"Apns-Push-Type": {q.pushType},
		"Apns-Priority":  {strconv.Itoa(int(q.priority))},
		"Apns-Id":        {q.id.String()},
	}
	if q.expiration != noExpiration {
		header["Apns-Expiration"] = []string{strconv.FormatInt(q.expiration, 10)}
	}
	if u.tokens != nil {
		value, err := u.tokens.current()
		if err != nil {
			return nil, err
		}
		r.bearer = value
		header["Authorization"] = []string{value}
	}
	to, err := url.Parse(u.base + string(devicePath(nil, r.Token())))
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: header,
		Body: body, ContentLength: int64(len(r.Payload())),
	}
	return req.WithContext(ctx), nil
}

// failureOf says what a request without an answer means: whether APNs may have
// taken the push.
func failureOf(err error) verdict {
	v := verdict{class: ambiguous, reason: err.Error()}
	var reset http2.StreamError
	if errors.As(err, &reset) && reset.Code == http2.ErrCodeRefusedStream {
		v.class = unsent
	}
	// x/net does not export the errors after which it would repeat a request
	// itself.
	switch err.Error() {
	case "http2: client conn not usable",
		"http2: client conn could not be established",
		"http2: Transport received Server's graceful shutdown GOAWAY":
		v.class = unsent
	}
	return v
}

// payloadBody gives a payload to x/net, which may still read when the answer is
// there already. After Close it does not touch the payload any more.
type payloadBody struct {
	mu   sync.Mutex
	rest []byte
}

func (b *payloadBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *payloadBody) Close() error {
	b.mu.Lock()
	b.rest = nil
	b.mu.Unlock()
	return nil
}
