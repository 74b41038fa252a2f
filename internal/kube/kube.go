// Package kube talks to the API of a Kubernetes cluster: the calls that
// containment needs, and no others. It is the only importer of Kubernetes code.
// Trouble comes back as faults; what an API server that is away or overloaded
// did not answer is asked again for a while.
package kube

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Manager is the name under which the API records what this program changes.
const Manager = "weightwarden"

// Options say which cluster to talk to, as kubectl's flags of the same names.
type Options struct {
	// Kubeconfig is a file; without one the usual places are looked at, and
	// in a pod its service account is used.
	Kubeconfig, Context, Namespace string
	// As is a user to act as.
	As string
	// Version of the program, for the API's logs.
	Version string
	// Patience is how long one call is repeated when the API does not answer;
	// 0 means 90 seconds.
	Patience time.Duration
}

// The limits of one call.
const (
	callTimeout = 10 * time.Second
	patience    = 90 * time.Second
)

// Client is a connection to one cluster.
type Client struct {
	dynamic  dynamic.Interface
	raw      rest.Interface
	patience time.Duration
	// met is set once the API has answered: before, asking again would only
	// hide a wrong address.
	met atomic.Bool
	// Namespace is the one that the flags or the context name, else "default".
	Namespace string
}

// Connect prepares to talk to a cluster. It sends nothing yet.
func Connect(o Options) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	overrides.Context.Namespace = o.Namespace
	overrides.AuthInfo.Impersonate = o.As
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	conf, err := loader.ClientConfig()
	if err != nil {
		return nil, fault.New(fault.Invalid, "find the cluster: %w", err).
			WithHint("name it with --kubeconfig and --context, as for kubectl")
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fault.New(fault.Invalid, "find the namespace: %w", err).WithHint("name it with --namespace")
	}
	return connect(conf, namespace, o)
}

func connect(conf *rest.Config, namespace string, o Options) (*Client, error) {
	conf.UserAgent = Manager + "/" + o.Version
	conf.Timeout = callTimeout
	conf.QPS, conf.Burst = 200, 400 // the API server's own fairness is the limit that counts
	conf.WarningHandler = rest.NoWarnings{}
	d, err := dynamic.NewForConfig(conf)
	if err != nil {
		return nil, fault.New(fault.Invalid, "prepare to talk to the cluster: %w", err)
	}
	raw, err := bare(conf)
	if err != nil {
		return nil, fault.New(fault.Invalid, "prepare to talk to the cluster: %w", err)
	}
	return &Client{dynamic: d, raw: raw, Namespace: namespace, patience: cmp.Or(o.Patience, patience)}, nil
}

// bare returns a client for what the dynamic one has no call for. It knows the
// API's own types only: client-go's discovery would bring those of every group
// into the program, and their registration into the start of every command.
func bare(conf *rest.Config) (rest.Interface, error) {
	own := runtime.NewScheme()
	metav1.AddToGroupVersion(own, schema.GroupVersion{Version: "v1"})
	conf = rest.CopyConfig(conf)
	conf.NegotiatedSerializer = serializer.NewCodecFactory(own).WithoutConversion()
	return rest.UnversionedRESTClientFor(conf)
}

func resource(k cluster.Kind) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

func (c *Client) at(k cluster.Kind, namespace string) dynamic.ResourceInterface {
	r := c.dynamic.Resource(resource(k))
	if namespace == "" {
		return r
	}
	return r.Namespace(namespace)
}

// again calls do until it is answered, the patience or the context ends.
func (c *Client) again(ctx context.Context, do func() error) error {
	wait := 100 * time.Millisecond
	deadline := time.NewTimer(c.patience)
	defer deadline.Stop()
	for {
		err := translate(do())
		if err == nil || fault.KindOf(err) != fault.Incomplete {
			c.met.Store(true)
			return err
		}
		if !c.met.Load() || c.patience == 0 {
			return err
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-deadline.C:
			pause.Stop()
			return err
		case <-pause.C:
		}
		wait = min(2*wait, 3*time.Second)
	}
}
