package cli

import (
	"cmp"
	"strings"

	"github.com/weightwarden/weightwarden/internal/agent"
	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/notify"
	"github.com/weightwarden/weightwarden/internal/notify/webhook"
)

// host names this machine in alerts: in a cluster the node, not the pod.
func (g *globals) host() string {
	_, host, _ := strings.Cut(g.Actor, "@")
	return cmp.Or(g.Getenv("NODE_NAME"), host)
}

func (g *globals) world() notify.World {
	return notify.World{
		Getenv: g.Getenv, Now: g.Now, Log: g.log(), Host: g.host(),
		Cluster: func() (cluster.API, error) { return clusterFlags{}.client(g.Env) },
	}
}

// receivers returns who is told of alerts, by the configuration.
func (g *globals) receivers(c *config.Config) (agent.Receivers, error) {
	to := agent.Receivers{
		Transports: map[string]notify.Transport{},
		GiveUp:     c.Alerts.GiveUpAfter, Refused: c.Alerts.RefusedGiveUpAfter, Keep: c.Alerts.MaxPending,
	}
	if to.Keep == 0 {
		to.Keep = agent.DefaultKeep
	}
	all := c.Alerts.Receivers
	if c.AlertWebhook != "" {
		guide := config.Receiver{Name: config.GuideReceiver, Config: &webhook.Config{URL: notify.Inline(c.AlertWebhook)}}
		all = append([]config.Receiver{guide}, all...)
		to.Always = []string{config.GuideReceiver}
	}
	for _, r := range all {
		transport, err := r.Config.Open(g.world())
		if err != nil {
			return to, fault.New(fault.Invalid, "receiver %s: %w", artifact.Quote(r.Name), err).
				WithHint("correct it under alerts.receivers in %s", artifact.Quote(c.Path))
		}
		to.Transports[r.Name] = transport
	}
	for _, r := range c.Alerts.Routes {
		to.Routes = append(to.Routes, agent.Route{
			Receivers: r.Receivers, MinSeverity: r.MinSeverity, Models: r.Models, CriticalModels: r.CriticalModels, Unresolved: r.Unresolved,
		})
	}
	return to, nil
}
