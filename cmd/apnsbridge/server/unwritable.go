package server

import (
	"errors"
	"fmt"
	"syscall"

	"apnsbridge/bridge"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// storeFull begins every sentence on a store that takes nothing more.
const storeFull = "the store cannot be written"

// unwritable returns why the store takes nothing more, with what to do; nil if it does.
func (s *Service) unwritable() error {
	why := s.store.Failing()
	if unspooled := s.bridge.Unspooled(); why == nil && errors.Is(unspooled, store.ErrSpoolFull) {
		why = store.ErrSpoolFull
	}
	return s.current.Load().withRemedy(why)
}

// withRemedy adds what to do to the reason why the store takes nothing more.
func (a *Assembly) withRemedy(why error) error {
	switch {
	case errors.Is(why, store.ErrSpoolFull):
		return errors.New("the spool is full: raise spool.max_bytes, or see why APNs does not take what waits")
	case errors.Is(why, syscall.ENOSPC), errors.Is(why, syscall.EDQUOT):
		return fmt.Errorf("%w: make room on the disk of %s", why, a.config.Path(a.config.Store.Path))
	}
	return why
}

// full warns if the store would take nothing more. A fleet's store is PostgreSQL and is not checked.
func (a *Assembly) full() []warning {
	if a.fleet != nil {
		return nil
	}
	setting, why := "store.path", boltstore.Full(a.config.Path(a.config.Store.Path), a.storeOptions())
	if errors.Is(why, store.ErrSpoolFull) {
		if a.spoolMode() == bridge.SpoolOff {
			return nil
		}
		setting = "spool.max_bytes"
	}
	if why == nil {
		return nil
	}
	return []warning{{setting: setting, text: fmt.Sprintf("%s: %v", storeFull, a.withRemedy(why)), alarm: true}}
}
