//go:build !plant

package shard

const planted = noMistake
