package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
)

// ApiVersions (18), versions 0 to 5. A newer version is answered with a body of version
// 0 and UNSUPPORTED_VERSION, so that the client comes down (KIP-511). No features are
// finalized yet, so none are named.
func (s *Session) onApiVersions(sl *slot, h *codec.Header) {
	resp := kmsg.NewPtrApiVersionsResponse()
	api := codec.Lookup(codec.ApiVersions)
	if !api.Serves(h.Version) {
		sl.version = 0
		resp.ErrorCode = codec.UnsupportedVersion
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{versionsOf(api)}
		s.answer(sl, resp)
		return
	}
	req := kmsg.NewPtrApiVersionsRequest()
	if codec.CheckBody(h.Key, h.Version, h.Body) != nil {
		resp.ErrorCode = codec.InvalidRequest
		s.answer(sl, resp)
		return
	}
	if !s.decode(req, h) {
		return
	}
	if h.Version >= 3 && (!validSoftware(req.ClientSoftwareName) || !validSoftware(req.ClientSoftwareVersion)) {
		resp.ErrorCode = codec.InvalidRequest
		s.answer(sl, resp)
		return
	}
	if h.Version >= 3 {
		s.software = clip(req.ClientSoftwareName) + " " + clip(req.ClientSoftwareVersion)
	}
	if h.Version >= 5 && s.meantAnother(req) {
		resp.ErrorCode = codec.RebootstrapRequired
	}
	for i := range codec.Versions {
		resp.ApiKeys = append(resp.ApiKeys, versionsOf(&codec.Versions[i]))
	}
	s.answer(sl, resp)
}

func versionsOf(r *codec.Range) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = r.Key, r.Advertised, r.Max
	return k
}

// meantAnother says whether the client wanted to reach another cluster or node (KIP-1242).
func (s *Session) meantAnother(req *kmsg.ApiVersionsRequest) bool {
	return req.ClusterID != nil && *req.ClusterID != s.host.Cluster().ID ||
		req.NodeID != -1 && req.NodeID != int32(s.self())
}

// validSoftware is [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? (KIP-511).
func validSoftware(s string) bool {
	for i := range len(s) {
		b := s[i]
		alnum := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !alnum && (b != '-' && b != '.' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != ""
}
