//go:build !plant

package meta

const planted = noMistake
