package meta

// mistake is one that is made on purpose: see shard/plant.go.
type mistake string

const (
	noMistake mistake = ""
	noSync    mistake = "catalog not synced" // a command is answered before it is durable
)
