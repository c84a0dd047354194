// Package codec encodes the messages of dRPC as stock agents do.
package codec

import (
	"google.golang.org/protobuf/proto"
	"storj.io/drpc"
)

// Protobuf is the encoding of every call.
type Protobuf struct{}

func (Protobuf) Marshal(message drpc.Message) ([]byte, error) {
	return proto.Marshal(message.(proto.Message))
}
func (Protobuf) Unmarshal(bytes []byte, message drpc.Message) error {
	return proto.Unmarshal(bytes, message.(proto.Message))
}
