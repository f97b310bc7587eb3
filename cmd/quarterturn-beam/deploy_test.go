package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// The manifests say nothing that Kubernetes does not know, fit together, and run serve
// with no more rights than it needs.
func TestKubernetesManifests(t *testing.T) {
	var deployment apps.Deployment
	var service core.Service
	var budget policy.PodDisruptionBudget
	var network networking.NetworkPolicy
	documents := bytes.Split(contents(t, "../../docs/deploy/kubernetes.yaml"), []byte("\n---\n"))
	objects := []any{&deployment, &service, &budget, &network}
	if len(documents) != len(objects) {
		t.Fatalf("%d documents, want %d", len(documents), len(objects))
	}
	for i, o := range objects {
		if err := yaml.UnmarshalStrict(documents[i], o); err != nil {
			t.Errorf("document %d: %v", i, err)
		}
	}
	for _, kind := range []struct{ got, want string }{
		{deployment.APIVersion + " " + deployment.Kind, "apps/v1 Deployment"}, {service.APIVersion + " " + service.Kind, "v1 Service"},
		{budget.APIVersion + " " + budget.Kind, "policy/v1 PodDisruptionBudget"}, {network.APIVersion + " " + network.Kind, "networking.k8s.io/v1 NetworkPolicy"},
	} {
		if kind.got != kind.want {
			t.Errorf("a %s where a %s should be", kind.got, kind.want)
		}
	}

	pod := deployment.Spec.Template
	for what, selector := range map[string]map[string]string{"deployment": deployment.Spec.Selector.MatchLabels, "service": service.Spec.Selector,
		"budget": budget.Spec.Selector.MatchLabels, "network": network.Spec.PodSelector.MatchLabels} {
		if len(selector) == 0 {
			t.Errorf("the %s selects everything", what)
		}
		for k, v := range selector {
			if pod.Labels[k] != v {
				t.Errorf("the %s selects %s=%s, which the pods are not", what, k, v)
			}
		}
	}
	c := pod.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	used := []string{service.Spec.Ports[0].TargetPort.StrVal, c.ReadinessProbe.HTTPGet.Port.StrVal, c.LivenessProbe.HTTPGet.Port.StrVal, c.StartupProbe.HTTPGet.Port.StrVal}
	for _, rule := range network.Spec.Ingress {
		used = append(used, rule.Ports[0].Port.StrVal)
	}
	for _, name := range used {
		if ports[name] == 0 {
			t.Errorf("there is no port %q", name)
		}
	}
	mounted := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		mounted[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !mounted[m.Name] || !m.ReadOnly {
			t.Errorf("the mount %+v", m)
		}
	}
	// It is asked under each name that the service has, in whatever namespace. Kubernetes fills in
	// the variables that stand before the one that uses them.
	env := map[string]string{}
	for _, v := range c.Env {
		if from := v.ValueFrom; from != nil && from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace" {
			v.Value = "pictures"
		}
		env[v.Name] = regexp.MustCompile(`\$\((\w+)\)`).ReplaceAllStringFunc(v.Value, func(use string) string {
			if value, ok := env[use[2:len(use)-1]]; ok {
				return value
			}
			return use
		})
	}
	name := service.Name
	if got, want := env["QUARTERTURN_ALLOWED_HOSTS"], strings.Join([]string{name, name + ".pictures", name + ".pictures.svc", name + ".pictures.svc.cluster.local"}, ","); got != want {
		t.Errorf("it answers as %s, and is asked as %s", got, want)
	}
	s, p := c.SecurityContext, pod.Spec.SecurityContext
	if !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" ||
		!*p.RunAsNonRoot || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault || *pod.Spec.AutomountServiceAccountToken {
		t.Errorf("more rights than needed: %+v %+v", s, p)
	}

	// The image that they run is what the Dockerfile makes.
	dockerfile := string(contents(t, "../../docs/deploy/Dockerfile"))
	for _, want := range []string{`(?m)^FROM scratch$`, `(?m)^USER 65532:65532$`, `(?m)^ENTRYPOINT \["/quarterturn"\]$`,
		`QUARTERTURN_ADDR=:8080`, `QUARTERTURN_ADMIN_ADDR=:9090`} {
		if !regexp.MustCompile(want).MatchString(dockerfile) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
	if ports["http"] != 8080 || ports["admin"] != 9090 || *p.RunAsUser != 65532 || !strings.HasPrefix(strings.Join(c.Args, " "), "serve ") {
		t.Errorf("ports %v, user %d, arguments %v are not those of the Dockerfile", ports, *p.RunAsUser, c.Args)
	}
}
