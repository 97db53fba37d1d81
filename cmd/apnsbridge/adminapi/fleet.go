package adminapi

// Fleet is how a node sees its fleet, as GET /api/fleet.json answers.
type Fleet struct {
	Node   string  `json:"node"`
	Leased bool    `json:"leased"`
	Reason string  `json:"reason,omitempty"` // why the lease cannot be renewed
	Nodes  []Node  `json:"nodes"`
	Apps   []Place `json:"apps"`
}

// Node is one of the fleet.
type Node struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Linked    bool   `json:"linked"`
	Differing bool   `json:"differing"` // its configuration
}

// Place is where an app lives.
type Place struct {
	Name  string `json:"name"`
	Node  string `json:"node"` // "" is none
	Epoch uint64 `json:"epoch"`
	State string `json:"state"` // on the node that is asked
}
