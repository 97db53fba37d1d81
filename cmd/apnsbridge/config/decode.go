package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// texts is a list that is made by adding one text after another.
type texts interface{ add(text string) error }

// decode reads node into v, which is the setting at path. A wrong value does not keep the
// others from being read.
func (s *source) decode(node ast.Node, v reflect.Value, path string, kind fieldKind) {
	node, comment := s.resolve(node, path, kind)
	if node == nil {
		return
	}
	target := v.Addr().Interface()
	_, scalar := node.(ast.ScalarNode)
	if comment == nil {
		comment = node.GetComment()
	}
	switch t := target.(type) {
	case texts:
		s.decodeTexts(node, v, t, path)
		return
	case encoding.TextUnmarshaler:
		if !scalar && v.Kind() == reflect.Struct && len(fieldsOf(v.Type())) > 0 {
			break // written as a section
		}
		if text, ok := s.text(node, comment, path, kind); ok {
			if err := t.UnmarshalText([]byte(text)); err != nil {
				s.reject(path, "%v", err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		if text, ok := s.text(node, comment, path, kind); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		if text, ok := s.text(node, comment, path, kind); ok {
			s.setBool(v, text, path)
		}
	case reflect.Pointer:
		if isNothing(node) {
			if v.Type().Elem().Kind() != reflect.Struct {
				s.text(node, comment, path, kind)
			}
			return
		}
		fresh := reflect.New(v.Type().Elem())
		s.decode(node, fresh.Elem(), path, kind)
		v.Set(fresh)
	case reflect.Struct:
		s.decodeStruct(node, v, path)
	case reflect.Map:
		s.decodeMap(node, v, path)
	case reflect.Slice:
		s.decodeList(node, v, path, kind)
	}
}

func isNothing(node ast.Node) bool { return node.Type() == ast.NullType }

// resolve follows anchors and aliases, and removes the tag !!str. It returns nil if there
// was a problem.
func (s *source) resolve(node ast.Node, path string, kind fieldKind) (resolved ast.Node,
	comment *ast.CommentGroupNode) {
	for range 32 {
		switch n := node.(type) {
		case *ast.AnchorNode:
			if kind.secret {
				s.reject(path, "%s begins with &, which has a meaning in YAML: put the value in quotes", leaf(path))
				return nil, nil
			}
			comment, node = n.GetComment(), n.Value
		case *ast.AliasNode:
			target, ok := s.doc.aliases[n]
			if !ok {
				s.reject(path, "%s begins with *, which has a meaning in YAML: put the value in quotes", leaf(path))
				return nil, nil
			}
			node = target
		case *ast.TagNode:
			if n.Start.Value != "!!str" {
				s.reject(path, "%s begins with !, which has a meaning in YAML: put the value in quotes", leaf(path))
				return nil, nil
			}
			comment, node = n.GetComment(), n.Value
		default:
			return node, comment
		}
	}
	s.reject(path, "%s refers to itself: write out what *NAME stands for", leaf(path))
	return nil, nil
}

func (s *source) decodeTexts(node ast.Node, v reflect.Value, list texts, path string) {
	v.Set(reflect.MakeSlice(v.Type(), 0, 1))
	for at, element := range s.elements(node, path) {
		if element, _ = s.resolve(element, at, fieldKind{}); element == nil {
			continue
		}
		if text, ok := s.text(element, nil, at, fieldKind{}); ok {
			if err := list.add(text); err != nil {
				s.reject(at, "%v", err)
			}
		}
	}
}

// decodeList reads a list; a single value counts as a list of one.
func (s *source) decodeList(node ast.Node, v reflect.Value, path string, kind fieldKind) {
	if isNothing(node) {
		if isScalar(v.Type().Elem()) {
			s.text(node, node.GetComment(), path, kind)
		}
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, 1)
	for at, element := range s.elements(node, path) {
		fresh := reflect.New(v.Type().Elem())
		s.decode(element, fresh.Elem(), at, kind)
		list = reflect.Append(list, fresh.Elem())
	}
	v.Set(list)
}

// elements yields the elements of a list with their paths, or the single value in place of
// a list.
func (s *source) elements(node ast.Node, path string) func(yield func(string, ast.Node) bool) {
	return func(yield func(string, ast.Node) bool) {
		list, ok := node.(*ast.SequenceNode)
		if !ok {
			yield(path, node)
			return
		}
		for i, element := range list.Values {
			at := path + "[" + strconv.Itoa(i) + "]"
			s.places[at] = place{s.doc.file, lineOf(element)}
			if !yield(at, element) {
				return
			}
		}
	}
}

func lineOf(node ast.Node) int {
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		return mapping.Values[0].Key.GetToken().Position.Line
	}
	return node.GetToken().Position.Line
}

func (s *source) decodeStruct(node ast.Node, v reflect.Value, path string) {
	if isNothing(node) {
		return
	}
	fields := fieldsOf(v.Type())
	s.eachKey(node, path, v.Type(), func(key string, value ast.Node, at string) {
		field, ok := fields[key]
		if !ok {
			s.unknown[path] = true
			if mapping, ok := node.(*ast.MappingNode); ok && mapping.IsFlowStyle && isNothing(value) {
				s.reject(at, "a value in %s has a comma in it, which ends the value here: put the value in quotes", section(path))
				return
			}
			if s.own != "" && path == s.own && (key == "apps" || join("apps", key) == path) {
				s.reject(at, "the file's name says which app this is: write its keys without %s: above them, and without "+
					"indentation", key)
				return
			}
			if len(s.problems) < mostProblems { // finding out what was meant takes a while
				s.reject(at, "%s", unknownKey(path, key, v.Type()))
			} else {
				s.more++
			}
			return
		}
		s.decode(value, v.FieldByIndex(field.index), at, field.kind)
	})
}

// decodeMap reads a section whose keys are names that the operator has chosen.
func (s *source) decodeMap(node ast.Node, v reflect.Value, path string) {
	if isNothing(node) {
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	s.eachKey(node, path, v.Type(), func(key string, value ast.Node, at string) {
		fresh := reflect.New(v.Type().Elem()).Elem()
		s.decode(value, fresh, at, fieldKind{})
		v.SetMapIndex(reflect.ValueOf(key), fresh)
	})
}

// eachKey calls do for each key of a mapping; last come the keys that <<: brings in, if the
// mapping does not have them itself. It notes the places, and refuses a key that has
// occurred already, in this file or another.
func (s *source) eachKey(node ast.Node, path string, t reflect.Type, do func(key string, value ast.Node, path string)) {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		_, list := node.(*ast.SequenceNode)
		if path == "" { // then everything is missing
			s.breakOff(Problem{s.doc.file, lineOf(node), noMapping(path, t, list)})
			return
		}
		s.reject(path, "%s", noMapping(path, t, list))
		return
	}
	own := make(map[string]bool)
	var merged []ast.Node
	for _, pair := range mapping.Values {
		if pair.Key.IsMergeKey() {
			merged = append(merged, pair.Value)
			continue
		}
		key, ok := s.key(pair.Key, path)
		if !ok {
			continue
		}
		own[key] = true
		at := join(path, key)
		here := place{s.doc.file, pair.Key.GetToken().Position.Line}
		if !s.arrive(at, here, pair.Value, t.Kind() == reflect.Map) {
			continue
		}
		do(key, pair.Value, at)
	}
	for _, from := range merged {
		from, _ = s.resolve(from, path, fieldKind{})
		source, ok := from.(*ast.MappingNode)
		if !ok {
			continue
		}
		for _, pair := range source.Values {
			key, ok := s.key(pair.Key, path)
			if !ok || own[key] {
				continue
			}
			own[key] = true
			s.places[join(path, key)] = place{s.doc.file, pair.Key.GetToken().Position.Line}
			do(key, pair.Value, join(path, key))
		}
	}
}

func (s *source) key(key ast.MapKeyNode, path string) (string, bool) {
	text := key.GetToken().Value
	if _, explicit := key.(*ast.MappingKeyNode); explicit || strings.ContainsRune(text, placeholder) {
		s.places[join(path, text)] = place{s.doc.file, key.GetToken().Position.Line}
		s.reject(join(path, text), "%q cannot be a key: write KEY: VALUE, with a key that stands there as it is",
			s.doc.written(Clip(text)))
		return "", false
	}
	return text, true
}

// arrive notes where a key is. A section may be in several files, with a part of its keys
// in each, but not if it is one of those that the operator has named.
func (s *source) arrive(path string, here place, value ast.Node, named bool) bool {
	before, ok := s.places[path]
	_, section := value.(*ast.MappingNode)
	if ok && (before.file == here.file || !section || named) {
		s.note(Problem{here.file, here.line,
			fmt.Sprintf("%s stands in %s:%d already: keep one of them", Clip(path), before.file, before.line)})
		return false
	}
	if !ok {
		s.places[path] = here
	}
	return true
}
