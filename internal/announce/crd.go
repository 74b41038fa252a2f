package announce

import _ "embed" // protectedmodel.yaml

//go:embed protectedmodel.yaml
var definition string

// Definition is the manifest that teaches a cluster the kind ProtectedModel.
func Definition() string { return definition }
