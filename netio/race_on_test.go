//go:build race

package netio

const raceOn = true
