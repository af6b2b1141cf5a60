package top

import (
	"math"
	"strconv"
	"testing"
	"time"
)

// TestColorsAreReadOnBlackAndWhite: 4.5 is what WCAG asks of text; 21 is black on white,
// so no colour has more than 4.58 on both.
func TestColorsAreReadOnBlackAndWhite(t *testing.T) {
	for _, c := range []string{colorQuiet, colorMarked, colorWarning, colorBad} {
		l := luminance(t, c)
		if white, black := 1.05/(l+0.05), (l+0.05)/0.05; white < 4.45 || black < 4.45 {
			t.Errorf("%s has a contrast of %.2f on white and %.2f on black", c, white, black)
		}
	}
}

func luminance(t *testing.T, c string) (l float64) {
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(c[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := float64(n) / 255
		if v <= 0.03928 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l
}

// TestColorsChangeNoText holds that a frame without its colours is the frame that is
// drawn without.
func TestColorsChangeNoText(t *testing.T) {
	for _, k := range []string{"1", "t", "g", "c", "?"} {
		for _, width := range []int{40, 80, 130} {
			bare := newScreen(t, width, 24).press(k).sees(100).sees(101)
			painted := newScreen(t, width, 24).press(k).sees(100).sees(101)
			painted.m.paint.on = true
			if got := painted.frame(); got == bare.frame() || escapes.ReplaceAllString(got, "") != bare.frame() {
				t.Errorf("%s at %d:\n%s", k, width, got)
			}
		}
	}
}

// TestOldFiguresStepBack holds that nothing but the news stands out while there is no
// answer, and that a core without time left does while there is one.
func TestOldFiguresStepBack(t *testing.T) {
	s := newScreen(t, 80, 24)
	s.m.paint.on = true
	s.sees(100).sees(101)
	warned := (&paint{on: true}).text(warning, "88%")
	s.shows(warned).fails(102, refused()).hides(warned)
	for v, want := range map[float64]tone{0.5: plain, 0.8: warning, 0.96: bad} {
		if got := load(&v); got != want {
			t.Errorf("a share of %g has the tone %d; want %d", v, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{size(0), "0"}, {size(999), "999B"}, {size(1_020_000), "1.02MB"}, {size(2.5e12), "2500GB"},
		{count(0.04), "0"}, {count(3.14159), "3.10"}, {count(1234), "1.23k"},
		{span(0.00123), "1.23ms"}, {span(2), "2.00s"}, {percent(0.004), "0.4%"}, {percent(0), "0%"}, {percent(0.876), "88%"},
		{age(59), "59s"}, {age(61), "1m01s"}, {age(3600 * 5), "5h00m"}, {age(90000), "1d01h"}, {age(time.Hour.Seconds() * 24 * 400), "400d00h"},
		{cut("orders", 6), "orders"}, {cut("orders", 5), "orde…"}, {cut("日本語", 5), "日本…"}, {cut("x", 0), ""},
		{bar(new(float64), 10), ""}, {bar(nil, 10), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q; want %q", c.got, c.want)
		}
	}
	one, half := 1.0, 0.5
	if bar(&one, 4) != "████" || bar(&half, 5) != "██▌" {
		t.Errorf("bars %q and %q", bar(&one, 4), bar(&half, 5))
	}
}
