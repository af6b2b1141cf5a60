package perf

// Fingerprint is what must be known of a machine to judge a figure measured on it.
// Fields that cannot be told are empty.
type Fingerprint struct {
	Host       string   `json:"host"`
	CPU        string   `json:"cpu"` // model
	CPUs       int      `json:"cpus"`
	NUMA       int      `json:"numa_nodes"`
	Memory     int64    `json:"memory_bytes"`
	Kernel     string   `json:"kernel"`
	OS         string   `json:"os"`
	Go         string   `json:"go"`
	FileSystem string   `json:"file_system,omitempty"` // of the data directory, with its mount options
	Disk       string   `json:"disk,omitempty"`        // model and kind
	SyncMs     float64  `json:"sync_ms_median,omitempty"`
	SyncWorst  float64  `json:"sync_ms_worst,omitempty"`
	Governor   string   `json:"governor,omitempty"`
	Congestion string   `json:"congestion_control"` // of the load's connections
	Container  string   `json:"container,omitempty"`
	Hypervisor string   `json:"hypervisor,omitempty"`
	Mitigated  []string `json:"mitigations,omitempty"`
}
