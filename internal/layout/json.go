package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errMalformed is a document that is not what it should be, or that two
// readers could understand differently.
var errMalformed = errors.New("malformed")

const maxDepth = 32

// object is a JSON object whose keys are given once and stand as written:
// encoding/json would take "Digest" for "digest" and the last of two.
type object map[string]any

// parseObject reads one JSON object and nothing behind it. Numbers are
// json.Number. The size was bounded by who read data.
func parseObject(data []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the document: %w", errMalformed)
	}
	o, ok := value.(object)
	if !ok {
		return nil, fmt.Errorf("not a JSON object: %w", errMalformed)
	}
	return o, nil
}

// parseValue's recursion is bounded by maxDepth.
func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep: %w", maxDepth, errMalformed)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", errMalformed)
	}
	switch token {
	case json.Delim('{'):
		return parseMembers(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			item, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, closed(dec)
	default:
		return token, nil
	}
}

func parseMembers(dec *json.Decoder, depth int) (any, error) {
	o := object{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", errMalformed)
		}
		key, ok := token.(string)
		if _, twice := o[key]; twice || !ok {
			return nil, fmt.Errorf("key %.80q given twice: %w", key, errMalformed)
		}
		if o[key], err = parseValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	return o, closed(dec)
}

func closed(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("not JSON: %w", errMalformed)
	}
	return nil
}

func (o object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

// objects returns the list of objects at key, or the one object.
func (o object) objects(key string) ([]object, error) {
	list := []any{o[key]}
	switch value := o[key].(type) {
	case nil:
		return nil, nil
	case []any:
		list = value
	}
	var out []object
	for _, item := range list {
		member, ok := item.(object)
		if !ok {
			return nil, fmt.Errorf("%s is not made of objects: %w", key, errMalformed)
		}
		out = append(out, member)
	}
	return out, nil
}
