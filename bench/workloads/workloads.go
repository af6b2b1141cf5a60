// Package workloads holds workloads as YAML files, by whose names they are run: penstock
// bench run NAME.
package workloads

import "embed"

// Files are the workloads.
//
//go:embed *.yaml
var Files embed.FS
