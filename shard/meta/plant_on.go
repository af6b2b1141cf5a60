//go:build plant

package meta

// planted is the mistake that the controllers of this process make.
var planted mistake

// Mistakes names those that Plant knows.
func Mistakes() []string { return []string{string(noSync)} }

// Plant makes the controllers of this process make a mistake.
func Plant(name string) { planted = mistake(name) }
