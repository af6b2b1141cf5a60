package meta

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// A catalog of version 1, record by record as docs/format.md draws it, is read by every
// later version; one of a later format is refused with the remedy.
func TestACatalogOfVersionOneIsRead(t *testing.T) {
	records := []string{
		`{"revision":4,"snapshot":{"format":1,"cluster":"AAAAAAAAAAAAAAAAAAAAAA","revision":4,"starts":2,"producer_ids":3000,"topics":{"ab010000000000000000000000000000":{"name":"orders","owners":[0,1],"set":{"retention.ms":"3600000"},"created":1700000000000}},"deleted":{"ab020000000000000000000000000000":{"name":"gone","at":1700000000001}}}}`,
		`{"revision":5,"put":{"ab030000000000000000000000000000":{"name":"__consumer_offsets","internal":true,"owners":[1],"created":1700000000002}}}`,
		`{"revision":6,"starts":3}`,
	}
	open := func(records []string) (*Controller, error) {
		f := fakefs.New()
		if err := f.MkdirAll("meta"); err != nil {
			t.Fatal(err)
		}
		x, err := f.Open("meta/catalog", segment.Create)
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		for _, r := range records {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(r)))
			b = binary.LittleEndian.AppendUint32(b, crc32.Checksum([]byte(r), crc32.MakeTable(crc32.Castagnoli)))
			b = append(b, r...)
		}
		if _, err := x.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		return Open(f, options(2))
	}
	c, err := open(records)
	if err != nil {
		t.Fatal(err)
	}
	cat := c.Catalog().Load()
	orders, offsets := cat.Topic("orders"), cat.Topic("__consumer_offsets")
	if cat.Revision != 6 || cat.Starts != 3 || c.ClusterID() != "AAAAAAAAAAAAAAAAAAAAAA" || orders == nil || offsets == nil {
		t.Fatalf("%+v", cat)
	}
	if orders.ID != (core.TopicID{0xab, 1}) || len(orders.Partitions) != 2 || orders.Config.RetentionMs != 3600000 || !offsets.Internal || !c.IsDeleted(core.TopicID{0xab, 2}) {
		t.Fatalf("%+v %+v", orders, offsets)
	}
	if _, err := open([]string{strings.Replace(records[0], `"format":1`, `"format":2`, 1)}); err == nil || !strings.Contains(err.Error(), "run that version") {
		t.Errorf("a newer catalog: %v", err)
	}
	doc, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{fileName, tempName, "`format` (1)", "`cluster`", "`revision`", "`starts`", "`producer_ids`", "`topics`", "`deleted`"} {
		if !strings.Contains(string(doc), word) {
			t.Errorf("docs/format.md does not say %s", word)
		}
	}
}
