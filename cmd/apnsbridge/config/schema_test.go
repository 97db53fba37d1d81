package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write apnsbridge.schema.json anew")

// The schema matches the types. go test -run Schema -update writes it.
func TestSchemaIsCurrent(t *testing.T) {
	reflector := newReflector()
	schema := reflector.ReflectFromType(reflect.TypeFor[Config]())
	schema.Title = "apnsbridge.yaml"
	app, _ := schema.Properties.Get("apps")
	choices(app.AdditionalProperties, "environment", appEnvironments)
	choices(app.AdditionalProperties, "push_type", pushTypes)
	choices(app.AdditionalProperties, "on_bad_token", badTokenWays)
	spool, _ := schema.Properties.Get("spool")
	choices(spool, "mode", spoolModes)
	tls, _ := schema.Properties.Get("tls")
	choices(tls, "min_version", tlsVersions)
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("apnsbridge.schema.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(text, Schema) {
		t.Error("apnsbridge.schema.json does not match the types: go test -run Schema -update")
	}
}

func newReflector() *jsonschema.Reflector {
	return &jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, DoNotReference: true,
		Anonymous: true, Mapper: schemaOf}
}

func choices(section *jsonschema.Schema, key string, values []string) {
	property, _ := section.Properties.Get(key)
	property.AnyOf = []*jsonschema.Schema{{Pattern: variablePattern}, {}}
	for _, value := range values {
		property.AnyOf[1].Enum = append(property.AnyOf[1].Enum, value)
	}
}

const variablePattern = `\$\{.+\}`

// schemaOf describes the types that are read from texts. Every value may come from a
// variable.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	text := func(pattern string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: "^(" + pattern + ")$|" + variablePattern}
	}
	either := func(all ...*jsonschema.Schema) *jsonschema.Schema { return &jsonschema.Schema{AnyOf: all} }
	list := func(of *jsonschema.Schema) *jsonschema.Schema {
		return either(of, &jsonschema.Schema{Type: "array", Items: of})
	}
	section := func(t reflect.Type) *jsonschema.Schema {
		s := newReflector().ReflectFromType(t)
		s.Version = ""
		return s
	}
	number, word := &jsonschema.Schema{Type: "integer"}, &jsonschema.Schema{Type: "string"}
	switch t {
	case reflect.TypeFor[Size]():
		return either(text(`[0-9]+ *([KMGT]iB)?`), number)
	case reflect.TypeFor[Count]():
		return either(text(`[0-9]+`), number)
	case reflect.TypeFor[Share]():
		return text(`[0-9]+ *%`)
	case reflect.TypeFor[Loops]():
		return either(text(`auto|[0-9]+`), number)
	case reflect.TypeFor[Duration]():
		return text(`([0-9.]+(d|h|m|s|ms|us|ns))+`)
	case reflect.TypeFor[Rate]():
		return text(`[0-9]+/[smh]`)
	case reflect.TypeFor[Range]():
		return text(`[0-9]+\.\.[0-9]+`)
	case reflect.TypeFor[Fingerprint]():
		return word
	case reflect.TypeFor[Networks](), reflect.TypeFor[Strings]():
		return list(word)
	case reflect.TypeFor[Addresses]():
		return list(either(word, section(reflect.TypeFor[Address]())))
	case reflect.TypeFor[Endpoint]():
		return either(word, section(reflect.TypeFor[struct {
			Production string `yaml:"production"`
			Sandbox    string `yaml:"sandbox"`
		}]()))
	case reflect.TypeFor[[]Client]():
		return list(section(reflect.TypeFor[Client]()))
	case reflect.TypeFor[[]Token]():
		return list(section(reflect.TypeFor[Token]()))
	case reflect.TypeFor[[]Pair]():
		return list(section(reflect.TypeFor[Pair]()))
	}
	if t.Kind() == reflect.Bool {
		return either(&jsonschema.Schema{Type: "boolean"}, &jsonschema.Schema{Type: "string",
			Pattern: `^(?i:yes|no|on|off)$|` + variablePattern})
	}
	return nil
}

const theToken = "token: {key: AuthKey_ABC123.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}"

// The schema accepts what Load accepts, and refuses what every editor should
// underline.
func TestSchemaAgreesWithLoad(t *testing.T) {
	document, err := validator.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := validator.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "docs/configuration.md", "docs/operations.md"} {
		text, err := os.ReadFile("../../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```yaml\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s has no example", name)
		}
		for i, block := range blocks {
			block, _, _ = strings.Cut(block, "```")
			if problem := validate(t, schema, block); problem != nil {
				t.Errorf("the schema refuses example %d of %s: %v", i+1, name, problem)
			}
		}
	}
	for _, tt := range []struct {
		replace, with string
		good          bool
	}{
		{"apps:", "apps:", true},
		{"apps:", "limits: {window: 5, queued_bytes: 1 GiB, drain: \"${DRAIN}\"}\napps:", true},
		{"apps:", "include: [a.yaml, b.yaml]\napps_dir: apps.d\napps:", true},
		{"apps:", "gateway: {listen: [\":1\", {address: \":2\", environment: sandbox, proxy_protocol: " +
			"10.0.0.1}]}\napps:", true},
		{"com.example.mail", "x\n    strict: true", true},
		{"com.example.mail", "x\n    environment: by-listener", true},
		{"com.example.mail", "x\n    environment: prod", false},
		{theToken, "production: {" + theToken + "}", true},
		{theToken, "production: {" + theToken + "}\n      sandbox: {" + theToken + "}", true},
		{theToken, "token: [{key: a, key_id: b, team_id: c, topics: [x.y, x.z]}, {key: a, key_id: d, team_id: c}]", true},
		{theToken, "production: {token: {key: a, key_id: b, team: c}}", false},
		{theToken, "production: {production: {" + theToken + "}}", false},
		{"com.example.mail", "x\n    strict: [a]", false},
		{"apps:", "limits: {windows: 5}\napps:", false},
		{"apps:", "limits: {drain: soon}\napps:", false},
		{"clients:", "client:", false},
		{"topic:", "topics:", false},
	} {
		text := strings.Replace(minimal, tt.replace, tt.with, 1)
		if problem := validate(t, schema, text); (problem == nil) != tt.good {
			t.Errorf("%s: the schema says %v, want it good: %v", tt.with, problem, tt.good)
		}
		if _, err := parse("f", []byte(text), func(string) (string, bool) {
			return "5s",
				true
		}); (err == nil) != tt.good && tt.replace != "apps:" {
			t.Errorf("%s: Load says %v, want it good: %v", tt.with, err, tt.good)
		}
	}
}

func validate(t *testing.T, schema *validator.Schema, text string) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	value, err := validator.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}
