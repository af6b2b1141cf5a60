// Package top is penstock top: what a broker's cores, topics, groups and clients do, read
// from the admin port and shown on a terminal, or once as text or JSON.
//
//	admin port -> source -> sample -> compare(before, after) -> Report -> frame
//	              HTTP      counters  rates and percentiles              text, any width
//
// Everything to the right of the source is a function of its arguments: the model takes
// messages and gives frames, and knows neither clock, socket nor terminal. A counter says
// nothing by itself; whatever is a rate comes of two samples, and where two cannot be
// compared, because the broker has started anew, there is a dash and not a number.
package top
